"""What one client may take of aion2-api: connections, time and memory; and that others do not notice."""

import itertools
import json
import os
import resource
import select
import socket
import threading

import pytest

import harness
from board import SIX, Api, add_characters, character_path, publish

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b'{"status":"ok"}'
HERE, THERE = "127.0.0.2", "127.0.0.3"  # counted, unlike 127.0.0.1


def connect(api, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", api.port), timeout=20, source_address=(source, 0))


def everything(sock):
    """What comes until the service closes."""
    out = b""
    try:
        while chunk := sock.recv(65536):
            out += chunk
    except ConnectionResetError:
        pass
    return out


def answered(sock):
    sock.sendall(GET)
    return sock.recv(4096).endswith(HEALTH)


def is_closed(sock):
    readable, _, _ = select.select([sock], [], [], 0)
    try:
        return bool(readable) and sock.recv(65536) == b""
    except ConnectionResetError:
        return True


# ------------------------------------------------------------------------- connections of an address


@pytest.mark.parametrize("threads", [1, 3])
def test_an_address_has_so_many_connections(pg, spawn, threads):
    api = Api(spawn, pg.url, API_CONNECTIONS_PER_ADDRESS=5, API_THREADS=threads)
    held = [connect(api, HERE) for _ in range(5)]
    assert all(answered(s) for s in held)
    for _ in range(20):
        with connect(api, HERE) as more:
            raw = everything(more)
        head, body = raw.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 429 ") and b"Retry-After: 1" in head
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body)["status"] == 429
    others = [connect(api, THERE) for _ in range(5)] + [connect(api) for _ in range(20)]
    assert all(answered(s) for s in others + held)
    assert "event=connections.refused client=127.0.0.2 " in api.program.log()
    held.pop().close()

    def has_room():
        with connect(api, HERE) as s:
            try:
                return answered(s)
            except ConnectionError:
                return False

    harness.wait_for(has_room, 20, "the place that became free")
    for s in held + others:
        s.close()


def test_who_has_sent_a_request_already_is_told_so_too(pg, spawn):
    """Bytes that nobody reads make the kernel reset the connection; the answer comes all the same."""
    api = Api(spawn, pg.url, API_CONNECTIONS_PER_ADDRESS=1, API_THREADS=1)
    with connect(api, HERE) as held:
        assert answered(held)
        for _ in range(50):
            with connect(api, HERE) as more:
                try:
                    more.sendall(GET)
                except ConnectionError:
                    pass
                assert everything(more).count(b"HTTP/1.1 429 ") == 1
        assert answered(held)


@pytest.mark.parametrize("settings", [{"API_CONNECTIONS_PER_ADDRESS": 0}, {"TRUSTED_PROXIES": "127.0.0.2/31"}])
def test_any_number_of_connections(pg, spawn, settings):
    api = Api(spawn, pg.url, **settings)
    held = [connect(api, HERE) for _ in range(400)]
    assert all(answered(s) for s in held)
    for s in held:
        s.close()


def test_places_of_refused_and_gone_connections_come_back(pg, spawn):
    api = Api(spawn, pg.url, API_CONNECTIONS_PER_ADDRESS=8, API_CONNECTIONS_MAX=64)
    for i in range(400):
        s = connect(api, HERE)
        if i % 3 == 0:
            s.sendall(GET[: i % len(GET)])
        s.close()
    held = []

    def all_eight():
        with connect(api, HERE) as s:
            try:
                if answered(s):
                    held.append(s.dup())
            except ConnectionError:
                pass
        return len(held) == 8

    harness.wait_for(all_eight, 20, "eight places", interval=0.05)
    assert all(answered(s) for s in held) and api.json("/health")
    for s in held:
        s.close()


# ------------------------------------------------------------------------------------------ time

SLOW = {
    "headers": (b"GET /health HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
    "one long header": (b"GET /health HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
    "a target": (b"GET /", b"y"),
    "a body": (b"POST /api/characters/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
               b"Content-Length: 60000\r\n\r\n", b" "),
    "chunks": (b"POST /api/characters/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.mark.parametrize("begin, drip", SLOW.values(), ids=SLOW.keys())
@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
def test_a_request_in_drips_is_cut_off(pg, spawn, before, begin, drip):
    """Each byte begins evhttp's time anew; that of the whole request goes on."""
    api = Api(spawn, pg.url, API_REQUEST_TIMEOUT=1, API_IDLE_TIMEOUT=600)
    with connect(api) as idle, connect(api) as slow:
        if before:
            assert answered(idle) and answered(slow)
        slow.sendall(begin)

        def cut_off():
            try:
                slow.sendall(drip)
            except OSError:
                return True
            return is_closed(slow)

        harness.wait_for(cut_off, 30, "the connection being closed", interval=0.1)
        assert answered(idle)  # who sends nothing has the longer time


def test_an_answer_that_takes_long_is_not_cut_off(pg, spawn):
    """The time for a request ends when it is here."""
    add_characters(pg, SIX)
    api = Api(spawn, pg.url, API_REQUEST_TIMEOUT=1, API_IDLE_TIMEOUT=600, API_THREADS=1)
    conn = pg.connect(autocommit=False)
    with conn.cursor() as cur, connect(api) as s, connect(api) as clock:
        cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
        s.sendall(b"GET /api/updates HTTP/1.1\r\nHost: a\r\n\r\n")
        clock.sendall(GET[:-1])  # begins later and is cut off first
        harness.wait_for(lambda: is_closed(clock), 30, "the other one being closed")
        conn.rollback()
        assert b'"total":6' in s.recv(65536)
    conn.close()


@pytest.fixture
def big(pg, spawn):
    add_characters(pg, [("Siel", f"P{i:04}", "Cleric", 1, i, None) for i in range(1000)])
    publish(pg)
    return Api(spawn, pg.url, API_IDLE_TIMEOUT=2, API_THREADS=1)


BIG = b"GET /api/ranking/top?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n"


def memory_mb(api):
    with open(f"/proc/{api.program.pid}/status") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("VmRSS"))


def test_a_client_that_does_not_read_is_cut_off(big):
    """Nor does what it has asked for pile up in memory."""
    for _ in range(3):
        big.get("/api/ranking/top?limit=1000")
    before = memory_mb(big)
    with connect(big) as deaf:
        deaf.setblocking(False)
        asked = 0

        def cut_off():
            nonlocal asked
            try:
                for _ in range(1000):
                    asked += deaf.send(BIG)
            except BlockingIOError:
                return False  # the service reads no further
            except ConnectionError:
                return True

        harness.wait_for(cut_off, 60, "the connection being closed", interval=0.05)
        assert big.json("/health") == {"status": "ok"}
    assert memory_mb(big) < before + 32
    assert asked < 16 << 20


def open_files(api):
    return len(os.listdir(f"/proc/{api.program.pid}/fd"))


def test_a_client_that_reads_in_drips_is_cut_off(big):
    big.get("/api/ranking/top?limit=1000")
    harness.wait_for(lambda: big.program.log().count("event=details.loaded"), 20, "the start")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(60)
        before = open_files(big)
        s.connect(("127.0.0.1", big.port))
        s.sendall(BIG * 200)
        harness.wait_for(lambda: open_files(big) > before, 20, "the connection")

        def given_up():
            s.recv(100)
            return open_files(big) <= before

        harness.wait_for(given_up, 60, "the service closing it", interval=0.05)
    assert big.json("/health") == {"status": "ok"}


# --------------------------------------------------------------------------- thousands of slow clients


class Slow:
    """So many connections that send a header a byte at a time, until the end of the with."""

    DRIP = b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"y" * 4000

    def __init__(self, api, count):
        self.api, self.count, self.socks, self.stop = api, count, [], threading.Event()
        self.cut_off = 0

    def __enter__(self):
        for _ in range(self.count):
            s = connect(self.api)
            s.setblocking(False)
            self.socks.append(s)
        self.drip(0)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def drip(self, at):
        for s in self.socks:
            try:
                s.send(self.DRIP[at : at + 1])
            except OSError:
                self.cut_off += 1

    def run(self):
        for at in itertools.count(1):
            self.drip(at)
            if self.stop.wait(0.2):
                return

    def __exit__(self, *args):
        self.stop.set()
        self.thread.join()
        for s in self.socks:
            s.close()


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 8192:
        pytest.skip("too few files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_slow_clients_do_not_disturb_others(pg, spawn, many_files):
    add_characters(pg, SIX)
    publish(pg)
    api = Api(spawn, pg.url, API_REQUEST_TIMEOUT=600, API_IDLE_TIMEOUT=600)
    paths = ["/health", "/api/ranking/top", character_path("Zikel", "나무꾼"), "/api/servers",
             "/api/ranking/cutoffs?server=Siel", "/api/updates", "/openapi.json"]
    with Slow(api, 2000) as slow:
        kept = api.connect()
        for i in range(100):
            for path in paths:
                assert api.ask(path, conn=kept if i % 2 else None).status == 200
        kept.close()
    assert slow.cut_off == 0
    assert api.json("/health") == {"status": "ok"}


def test_slow_clients_up_to_the_limit_give_their_places_back(pg, spawn, many_files):
    """More than there are places: whoever waits is served once they were cut off."""
    api = Api(spawn, pg.url, API_CONNECTIONS_MAX=300, API_REQUEST_TIMEOUT=2)
    with Slow(api, 600):
        api.program.wait_log("event=connections.full")
        with connect(api) as s:
            s.settimeout(60)
            assert answered(s)
