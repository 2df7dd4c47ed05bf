"""aion2-api as an HTTP server: hostile and slow clients, limits, its end, its command line."""

import gzip
import http.client
import json
import os
import resource
import select
import signal
import socket
import time

import pytest

import harness
from board import SIX, Api, add_characters, publish

GET = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b'{"status":"ok"}'


@pytest.fixture
def api(pg, spawn):
    add_characters(pg, SIX)
    publish(pg)
    return Api(spawn, pg.url)


def problem_in(raw):
    """The problem document that the first answer in raw is."""
    head, body = raw[raw.index(b"HTTP/1.1 ") :].split(b"\r\n\r\n", 1)
    assert b"application/problem+json" in head, raw[:500]
    doc = json.loads(body)
    assert int(head.split(b" ", 2)[1]) == doc["status"]
    return doc


REFUSED = {
    "garbage": (b"\x00\x01\x02\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "a header without colon": (b"GET / HTTP/1.1\r\nHost a\r\n\r\n", 400),
    "no host": (b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "another version": (b"GET /health HTTP/3.0\r\nHost: a\r\n\r\n", 400),
    "an old version": (b"GET /health HTTP/0.9\r\n\r\n", 400),
    "a long target": (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "a very long target": (b"GET /" + b"x" * 200000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "a target without end": (b"GET /" + b"x" * 200000, 431),
    "a long header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 431),
    "a large body": (
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, 413),
    "a huge announced body": (
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
    "a negative length": (b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    "a GET with a body": (
        b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n" + GET, 400),
    "a TRACE with a body": (
        b"TRACE /health HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n" + GET, 400),
    "a GET with chunks": (
        b"GET /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize("data, status", REFUSED.values(), ids=REFUSED.keys())
def test_refused_and_closed(api, data, status):
    raw = api.raw(data)
    doc = problem_in(raw)
    assert doc["status"] == status
    assert raw.count(b"HTTP/1.1 ") == 1, "what followed was not taken for a request"
    assert api.json("/health") == {"status": "ok"}


def test_a_body_within_the_limit_is_read_and_405(api):
    conn = api.connect()
    api.ask("/health", "POST", body=b"x" * 60000, conn=conn).problem(405)
    assert api.ask("/health", conn=conn).json == {"status": "ok"}
    conn.close()


def test_keep_alive(api):
    conn = api.connect()
    conn.connect()
    sock = conn.sock
    for _ in range(100):
        assert api.ask("/health", conn=conn).status == 200
    assert conn.sock is sock
    conn.close()


def test_http_1_0_closes_unless_asked(api):
    assert api.raw(b"GET /health HTTP/1.0\r\n\r\n").endswith(HEALTH)
    raw = api.raw(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                  b"GET /health HTTP/1.0\r\n\r\n")
    assert raw.count(HEALTH) == 2


def test_pipelined_requests_are_answered_in_order(api):
    paths = ["/api/ranking/top?limit=1", "/api/updates?limit=1", "/health", "/nowhere",
             "/api/ranking?page=2&page_size=1"] * 40
    ask = "".join(f"GET {p} HTTP/1.1\r\nHost: a\r\n\r\n" for p in paths)
    raw = api.raw(ask.encode() + b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in raw.split(b"HTTP/1.1 ")[1:]]
    assert len(bodies) == len(paths) + 1
    kinds = [list(json.loads(b))[0] for b in bodies]
    assert kinds == ["items", "updates", "status", "type", "items"] * 40 + ["status"]


def test_a_request_in_pieces(api):
    with api.socket() as s:
        for i in range(len(GET)):
            s.sendall(GET[i : i + 1])
        assert HEALTH in s.recv(4096)


def test_a_client_that_reads_late_gets_everything(api, pg):
    add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(1000)])
    api.wait_run(publish(pg))
    whole = api.get("/api/ranking/top?limit=1000").body
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(("127.0.0.1", api.port))
        s.sendall(b"GET /api/ranking/top?limit=1000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            api.wait_run(publish(pg))  # the answer outlives its generation
        raw = b""
        while chunk := s.recv(1000):
            raw += chunk
    assert raw.endswith(whole)


MIXED = [  # request, its body, status
    ("GET /api/ranking/top?limit=1000", b"", 200),
    ("HEAD /api/ranking/top?limit=1000", b"", 200),
    ("GET /api/ranking/top?limit=5\r\nIf-None-Match: *", b"", 304),
    ("GET /api/ranking/top?limit=5\r\nAccept-Encoding: gzip", b"", 200),
    ("GET /assets/uPlot.js", b"", 404),
    ("GET /nowhere", b"", 404),
    ("HEAD /nowhere", b"", 404),
    ("GET /", b"", 200),
    ("OPTIONS /health", b"", 405),
    ("POST /health\r\nContent-Length: 3", b"abc", 405),
    ("POST /health\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", 405),
    ("POST /api/characters/batch\r\nTransfer-Encoding: chunked\r\n"
     "Content-Type: application/json", b"12\r\n{\"characters\": []}\r\n0\r\n\r\n", 400),
    ("POST /health\r\nExpect: 100-continue\r\nContent-Length: 3", b"abc", 405),
]


def test_every_answer_ends_where_its_head_says(api, pg):
    """Of any kind, one right after the other, whether the socket takes it at once or (4 MB are sent
    before the first is read) in parts."""
    add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(1000)])
    api.wait_run(publish(pg))
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(("127.0.0.1", api.port))
        for head, body, _ in MIXED * 25:
            line, _, fields = head.partition("\r\n")
            s.sendall(f"{line} HTTP/1.1\r\nHost: a\r\n{fields + chr(13) + chr(10) if fields else ''}"
                      "\r\n".encode() + body)
        for head, _, status in MIXED * 25:
            answer = http.client.HTTPResponse(s, method=head.split()[0])
            answer.fp = Unbuffered(s)
            answer.begin()  # reads over 100 Continue
            assert answer.status == status, head
            assert answer.getheader("Content-Type") or status == 304
            got = answer.read()
            if answer.getheader("Content-Encoding") == "gzip":
                got = gzip.decompress(got)
            if "json" in answer.getheader("Content-Type", "") and got:
                json.loads(got)


@pytest.mark.parametrize("target, version, asked, said", [
    ("/health", "1.1", "close", "close"),
    ("/health", "1.1", "Close, TE", "close"),
    ("/health", "1.1", "TE\r\nConnection: close", "close"),
    ("/health", "1.1", "closer", None),
    ("/health", "1.0", "keep-alive", "keep-alive"),
    ("/health", "1.0", "keep-alive, close", "close"),
    ("http://a/health", "1.1", "keep-alive", "close"),
    ("http://a/health", "1.0", "keep-alive", "close"),
])
def test_a_connection_ends_when_it_was_said(api, target, version, asked, said):
    with api.socket() as s:
        request = f"GET {target} HTTP/{version}\r\nHost: a\r\nConnection: {asked}\r\n\r\n".encode()
        for _ in range(2):
            s.sendall(request)
            answer = http.client.HTTPResponse(s)
            answer.fp = Unbuffered(s)
            answer.begin()
            assert answer.status == 200
            assert answer.headers.get_all("Connection") == (said and [said])
            answer.read()
            if said == "close":
                assert s.recv(1) == b""
                return


class Unbuffered:
    """Reads a socket byte by byte up to the end of a line: what follows belongs to the next."""

    def __init__(self, sock):
        self.sock = sock

    def readline(self, _limit=-1):
        line = b""
        while not line.endswith(b"\n"):
            line += self.sock.recv(1)
        return line

    def read(self, size):
        data = b""
        while len(data) < size and (chunk := self.sock.recv(size - len(data))):
            data += chunk
        return data

    def close(self):
        """The socket is somebody else's."""

    flush = close


def test_clients_that_go_away_at_any_moment(api):
    for request in (GET, b"GET /api/updates HTTP/1.1\r\nHost: a\r\n\r\n", GET[:20]):
        for _ in range(50):
            s = api.socket()
            s.sendall(request)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()  # with a reset
    assert api.json("/api/updates")["total"] == 6


def closed_by_peer(sock):
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable) and sock.recv(4096) == b""


def test_a_client_that_drips_bytes_is_cut_off(pg, spawn):
    """Each byte resets a time-out for reading; only a time for the whole request ends this."""
    api = Api(spawn, pg.url, API_IDLE_TIMEOUT=1)
    with api.socket() as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n")

        def cut_off():
            try:
                s.sendall(b"X: y\r\n")
            except OSError:
                return True
            return closed_by_peer(s)

        harness.wait_for(cut_off, 20, "the connection being closed", interval=0.1)
    assert api.json("/health") == {"status": "ok"}


def test_an_idle_connection_is_closed(pg, spawn):
    api = Api(spawn, pg.url, API_IDLE_TIMEOUT=1)
    with api.socket() as s:
        s.sendall(GET)
        assert HEALTH in s.recv(4096)
        harness.wait_for(lambda: closed_by_peer(s), 20, "the connection being closed")


def test_connections_over_the_limit_wait(pg, spawn):
    api = Api(spawn, pg.url, API_CONNECTIONS_MAX=8, API_THREADS=1)
    held = [api.socket() for _ in range(8)]
    for s in held:
        s.sendall(GET)
        assert HEALTH in s.recv(4096)
    more = [api.socket() for _ in range(40)]
    for s in more:
        s.sendall(GET)
    api.program.wait_log("event=connections.full")
    for s in held:
        s.close()
    for s in more:
        s.settimeout(20)
        assert HEALTH in s.recv(4096)
        s.close()
    assert api.json("/health") == {"status": "ok"}


def test_out_of_descriptors(pg, spawn):
    """Neither a busy loop nor an end: clients wait until others have gone."""
    api = Api(spawn, pg.url, API_THREADS=1)
    assert api.json("/api/updates")["total"] == 0
    used = len(os.listdir(f"/proc/{api.program.pid}/fd"))
    resource.prlimit(api.program.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
    socks = [api.socket() for _ in range(30)]
    for s in socks:
        s.sendall(GET)
    api.program.wait_log("event=accept.failed")
    for s in socks[:20]:
        s.close()
    for s in socks[20:]:
        s.settimeout(20)
        assert HEALTH in s.recv(4096)
        s.close()
    assert api.program.log().count("event=accept.failed") < 100
    assert api.program.stop() == 0


def test_many_short_connections_do_not_pile_up(pg, spawn):
    api = Api(spawn, pg.url, API_CONNECTIONS_MAX=16, API_THREADS=1)
    for _ in range(500):
        assert api.raw(GET.replace(b"Host: a", b"Host: a\r\nConnection: close")).endswith(HEALTH)
    assert "connections.full" not in api.program.log()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_the_end_waits_for_what_is_being_answered(api, pg, sig):
    """A request that waits for PostgreSQL when the signal comes is still answered."""
    conn = pg.connect(autocommit=False)
    with conn.cursor() as cur, api.socket() as s:
        cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
        s.sendall(b"GET /api/updates HTTP/1.1\r\nHost: a\r\n\r\n")
        harness.wait_for(
            lambda: pg.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), 10, "the query")
        api.program.signal(sig)
        api.program.wait_log("event=api.stopping")
        harness.wait_for(lambda: not harness.port_open(api.port), 10, "the port being closed")
        conn.rollback()
        raw = b""
        while chunk := s.recv(4096):
            raw += chunk
    conn.close()
    assert b"200 OK" in raw and b'"total":6' in raw and b"Connection: close" in raw
    assert api.program.wait() == 0


def test_the_end_does_not_wait_for_idle_clients(api):
    idle = [api.socket() for _ in range(5)]
    idle[0].sendall(GET)
    assert HEALTH in idle[0].recv(4096)
    start = time.monotonic()
    assert api.program.stop() == 0
    assert time.monotonic() - start < 5 * harness.TIMEOUT_SCALE
    for s in idle:
        s.close()


# -------------------------------------------------------------------------------- command line


def run(*args, **env):
    return harness.run_program("aion2-api", *args, env=env)


def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0
    for name in ("DATABASE_URL", "API_LISTEN", "API_THREADS", "STATE_DIR", "BATCH_INTERVAL"):
        assert name in done.stdout
    assert run("--version").stdout.startswith("aion2-api ")


def test_check_config_shows_no_password():
    done = run("--check-config", DATABASE_URL="postgresql://u:secret@h/d", API_THREADS="3")
    assert done.returncode == 0
    assert "secret" not in done.stdout
    assert "API_THREADS=3  (environment)" in done.stdout


@pytest.mark.parametrize("name, value", [
    ("API_LISTEN", "localhost"), ("API_LISTEN", "127.0.0.1"), ("API_LISTEN", "127.0.0.1:0"),
    ("API_LISTEN", "127.0.0.1:70000"), ("API_THREADS", "65"), ("API_THREADS", "x"),
    ("API_CONNECTIONS_MAX", "0"), ("BATCH_INTERVAL", "0"), ("LOG_LEVEL", "loud"),
])
def test_wrong_settings_are_named(name, value):
    done = run(**{name: value})
    assert done.returncode == 64 and name in done.stderr


def test_wrong_options():
    assert run("--nonsense").returncode == 64
    assert run("extra").returncode == 64


def test_an_address_that_is_not_ours(pg):
    done = run(API_LISTEN="192.0.2.1:8000", DATABASE_URL=pg.url, STATE_DIR="")
    assert done.returncode == 1 and "API_LISTEN" in done.stderr


def test_ipv6(pg, spawn):
    port = harness.free_port()
    p = spawn("aion2-api", env={"API_LISTEN": f"[::1]:{port}", "DATABASE_URL": pg.url})
    try:
        harness.wait_for(lambda: harness.port_open(port, "::1") or p.must_run(), 20, "the port")
    except AssertionError:
        if "Cannot assign" in p.log() or "not supported" in p.log():
            pytest.skip("no IPv6 here")
        raise
    done = run("--healthcheck", API_LISTEN=f"[::1]:{port}")
    assert done.returncode == 0
