"""Boards by class, around a character, cut-offs, distribution, walks and exports, against SQL and Python."""

import csv
import io
import json
import os
import random
import socket
from urllib.parse import quote, urlencode

import pytest

import harness
from board import Api, publish

SERVERS = ["Siel", "Zikel", "새 서버", "Lone"]
CLASSES = ["Ranger", "Cleric", "검성", ""]
TIERS = [f"{letter}{n}" for letter in "SABCD" for n in (5, 4, 3, 2, 1)]


def populate(pg, rng, count):
    """Characters with many ties; everybody on Lone is a Ranger."""
    rows = []
    for i in range(count):
        server = rng.choice(SERVERS)
        cls = "Ranger" if server == "Lone" else rng.choice(CLASSES)
        rows.append((server, f"n{i}", cls, rng.randint(1, 3), rng.choice([None, 5, 6, rng.randint(0, 10**6)])))
    with pg.connect() as conn, conn.cursor() as cur:
        cur.executemany("INSERT INTO characters (server, name, class, level, power, stats_payload)"
                        " VALUES (%s, %s, %s, %s, %s, '{}')", rows)


@pytest.fixture
def board(pg, spawn):
    """Two generations of 400 characters whose scores take few values; the second is live."""
    rng = random.Random(7)
    populate(pg, rng, 400)
    publish(pg, score="mod(id * 7919, 50)", tier=3)
    run = publish(pg, score="mod(id * 104729, 60) - 10", tier=12)
    pg.script(f"UPDATE ranking_entries_{run} SET traits = (traits & ~62::bigint)"
              " | (((places >> 32) * 25 / 401) << 1)")
    api = Api(spawn, pg.url)
    api.run = run
    return api


def rows_of(pg, run, server=None, cls=None):
    """The board as SQL sees it: rows in order with their place on it."""
    return pg.query(
        "SELECT row_number() OVER (ORDER BY rank), name, server, class, level, power, power_score, power_rank"
        " FROM ranking_rows WHERE run_id = %s AND (%s::text IS NULL OR server = %s)"
        " AND (%s::text IS NULL OR class = %s) ORDER BY rank", (run, server, server, cls, cls))


def places(items):
    return [(i["rank"], i["name"], i["server"], i["class"], i["level"], i["power"], i["power_score"],
             i["power_rank"]) for i in items]


def query(**params):
    return "?" + urlencode({k: v for k, v in params.items() if v is not None})


# ------------------------------------------------------------------------------- class boards


@pytest.mark.parametrize("server", [None, *SERVERS])
@pytest.mark.parametrize("cls", [None, "Ranger", "검성"])
def test_boards_of_every_server_and_class(board, pg, server, cls):
    want = rows_of(pg, board.run, server, cls)
    doc = board.json("/api/ranking/top" + query(server=server, limit=1000, **{"class": cls}))
    assert places(doc["items"]) == want
    page = board.json("/api/ranking" + query(server=server, page=2, page_size=7, **{"class": cls}))
    assert places(page["items"]) == want[7:14]
    assert page["total"] == len(want)


def test_a_class_that_nobody_has(board):
    board.get("/api/ranking/top?class=Nosuch").problem(404, "class")
    assert board.json("/api/ranking/top?server=Lone&class=Cleric")["items"] == []


@pytest.mark.parametrize("server", [None, "Siel"])
def test_rank_change_is_against_the_ranking_before(board, pg, server):
    rank = "rank" if server is None else "server_rank"
    before = dict(pg.query(f"SELECT name, {rank} FROM ranking_rows WHERE run_id = %s", (board.run - 1,)))
    items = board.json("/api/ranking/top" + query(server=server, limit=1000))["items"]
    assert [i["rank_change"] for i in items] == [before[i["name"]] - i["rank"] for i in items]
    assert any(i["rank_change"] > 0 for i in items) and any(i["rank_change"] < 0 for i in items)


def test_rank_change_over_a_publication_and_of_newcomers(board, pg):
    """Now the api has the ranking before in memory; above it had to ask PostgreSQL for it."""
    old = {i["name"]: i["rank"] for i in board.json("/api/ranking/top?limit=1000")["items"]}
    pg.script("INSERT INTO characters (server, name, stats_payload) VALUES ('Siel', 'newcomer', '{}')")
    run = publish(pg, score="mod(id * 31, 70)")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == run, what="the new board")
    items = board.json("/api/ranking/top?limit=1000")["items"]
    assert len(items) == 401
    for i in items:
        assert i["rank_change"] == (old[i["name"]] - i["rank"] if i["name"] in old else None), i


# ------------------------------------------------------------------------------------ around


def test_around_every_kind_of_board(board, pg):
    rng = random.Random(1)
    for _ in range(30):
        _, name, server, cls, *_ = rng.choice(rows_of(pg, board.run))
        which = rng.choice(["server", "all", "class", "server_class"])
        above, below = rng.randint(0, 20), rng.randint(0, 20)
        want = rows_of(pg, board.run, server if "server" in which else None, cls if "class" in which else None)
        at = [w[1] for w in want].index(name)
        doc = board.json("/api/ranking/around"
                         + query(server=server, name=name, board=which, above=above, below=below))
        assert places(doc["items"]) == want[max(0, at - above):at + below + 1]
        assert (doc["rank"], doc["total"]) == (at + 1, len(want))
        assert doc["server"] == (server if "server" in which else None)
        assert doc["class"] == (cls if "class" in which else None)


def test_around_nobody(board):
    board.get("/api/ranking/around?server=Siel&name=nobody").problem(404)
    board.get("/api/ranking/around?server=Nosuch&name=n1").problem(404)
    board.get("/api/ranking/around?server=Siel&name=n1&board=x").problem(400, "board")


# ---------------------------------------------------------------------- cut-offs, distribution


@pytest.mark.parametrize("server", [None, *SERVERS])
def test_cutoffs(board, pg, server):
    rows = rows_of(pg, board.run, server)
    doc = board.json("/api/ranking/cutoffs" + query(server=server))
    assert (doc["server"], doc["total"]) == (server, len(rows))
    assert [t["tier"] for t in doc["tiers"]] == TIERS
    for t in doc["tiers"]:
        scores = [r[6] for r in rows if r[7] == t["tier"]]
        assert t["count"] == len(scores)
        assert t["min_score"] == (min(scores) if scores else None)
        assert t["share"] == pytest.approx(len(scores) * 10000 // len(rows) / 100)


@pytest.mark.parametrize("server", [None, *SERVERS])
def test_distribution(board, pg, server):
    rows = rows_of(pg, board.run, server)
    scores = sorted((r[6] for r in rows), reverse=True)
    doc = board.json("/api/ranking/distribution" + query(server=server))
    buckets = doc["histogram"]
    assert len(buckets) <= 41 and sum(b["count"] for b in buckets) == len(rows)
    for b, following in zip(buckets, buckets[1:] + [None]):
        assert b["count"] == sum(b["from"] <= s <= b["to"] for s in scores)
        assert b["to"] - b["from"] + 1 == doc["bucket_width"] and b["from"] % doc["bucket_width"] == 0
        assert following is None or following["from"] == b["to"] + 1
    for q in doc["quantiles"]:
        place = -(-len(rows) * q["top_percent"] // 100)
        assert q["min_score"] == scores[place - 1]
    classes = {c["class"]: c["count"] for c in doc["classes"]}
    assert classes == {c: n for c in CLASSES if (n := sum(r[3] == c for r in rows))}
    assert doc["tiers"] == board.json("/api/ranking/cutoffs" + query(server=server))["tiers"]


def test_a_known_server_without_entries_and_an_unknown_one(board):
    for path in ("cutoffs", "distribution"):
        doc = board.json(f"/api/ranking/{path}?server=Chantra")
        assert doc["server"] == "Chantra" and doc["total"] == 0
        board.get(f"/api/ranking/{path}?server=Nosuch").problem(404, "server")


def test_details_of_servers(board, pg):
    run = board.run
    pg.script("INSERT INTO ranking_servers (run_id, server, sample_size, averages)"
              f" SELECT {run}, unnest(ARRAY['Siel', 'Gone']), 9, '{{1, 2, 3, 4, 5, 6, 7, 8}}'")
    pg.script("UPDATE ranking_state SET generated_at = clock_timestamp(); NOTIFY aion2_ranking, 'again'")

    def details():
        doc = board.json("/api/servers")
        found = {d["server"]: d for d in doc["details"]}
        return found if found["Siel"]["sample_size"] else None

    found = harness.wait_for(details, what="the averages")
    assert set(found) == set(SERVERS)
    for server, d in found.items():
        rows = rows_of(pg, run, server)
        assert (d["population"], d["top_score"]) == (len(rows), rows[0][6])
    assert list(found["Siel"]["averages"].values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found["Siel"]["averages"]["attack_speed"] == 5 and found["Zikel"]["averages"] is None


# ------------------------------------------------------------------------------------- walks


def walk(api, cursor="start", **params):
    """Every item from the cursor on, page by page."""
    items = []
    while cursor:
        doc = api.json("/api/ranking" + query(cursor=cursor, **params))
        items += doc["items"]
        cursor = doc["next_cursor"]
    return items


@pytest.mark.parametrize("params", [{}, {"server": "Zikel"}, {"class": "Ranger"}, {"server": "Lone", "class": "Cleric"}])
def test_a_walk_sees_everybody_once(board, pg, params):
    assert places(walk(board, page_size=37, **params)) == rows_of(pg, board.run, params.get("server"), params.get("class"))


def test_a_walk_goes_on_over_its_ranking_while_boards_change(board, pg):
    want = rows_of(pg, board.run)
    first = board.json("/api/ranking?cursor=start&page_size=100")
    run = publish(pg, score="-id")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == run, what="the new board")
    second = board.json(f"/api/ranking?page_size=100&cursor={first['next_cursor']}")
    assert second["snapshot"]["id"] == board.run
    assert second["page"] == 2
    rest = walk(board, second["next_cursor"], page_size=100)
    assert places(first["items"] + second["items"] + rest) == want
    gone = publish(pg, score="id")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == gone, what="the newest board")
    answer = board.get(f"/api/ranking?page_size=100&cursor={first['next_cursor']}")
    answer.problem(410)
    assert board.json(answer.json["latest"])["snapshot"]["id"] == gone


def test_a_ranking_that_nobody_walks_over_is_not_kept(board, pg):
    """A page has a next_cursor as well; using it is what keeps a ranking."""
    cursor = board.json("/api/ranking?page_size=10")["next_cursor"]
    run = publish(pg, score="-id")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == run, what="the new board")
    board.get(f"/api/ranking?cursor={cursor}").problem(410)


@pytest.mark.parametrize("cursor", ["x", "1-2-3", "1-2-3-4", "start ", " start", "-1-0-0-0", "f" * 40])
def test_what_is_no_cursor(board, cursor):
    board.get(f"/api/ranking?cursor={quote(cursor)}").problem(400, "cursor")


def test_a_cursor_belongs_to_its_board(board):
    cursor = board.json("/api/ranking?server=Siel&page_size=5&cursor=start")["next_cursor"]
    board.get(f"/api/ranking?server=Zikel&cursor={cursor}").problem(400, "cursor")
    board.get(f"/api/ranking?cursor={cursor}").problem(400, "cursor")
    board.get(f"/api/ranking?server=Siel&page=2&cursor={cursor}").problem(400, "cursor")
    last = cursor[:-1] + ("0" if cursor[-1] != "0" else "1")
    board.get(f"/api/ranking?server=Siel&cursor={last}").problem(400, "cursor")


# ----------------------------------------------------------------------------------- exports


@pytest.mark.parametrize("params", [{}, {"server": "새 서버"}, {"class": "검성"}, {"server": "Chantra"}])
def test_exports_are_the_whole_board(board, pg, params):
    want = rows_of(pg, board.run, params.get("server"), params.get("class"))
    answer = board.get("/api/ranking.ndjson" + query(**params))
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert places([json.loads(line) for line in answer.body.splitlines()]) == want
    answer = board.get("/api/ranking.csv" + query(**params))
    assert answer.headers["content-disposition"] == f'attachment; filename="ranking-{board.run}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [(int(r["rank"]), r["name"], r["server"], r["class"], int(r["level"]),
             int(r["power"]) if r["power"] else None, int(r["power_score"]), r["power_rank"]) for r in rows] == want


def test_csv_quotes_whatever_a_name_holds(pg, spawn):
    names = ['a"b', "c,d", "e\\f", "=1+1", "줄", "tab\tname", "'x'"]
    with pg.connect() as conn, conn.cursor() as cur:
        cur.executemany("INSERT INTO characters (server, name) VALUES ('S\"1', %s)", [(n,) for n in names])
    publish(pg)
    api = Api(spawn, pg.url)
    rows = list(csv.DictReader(io.StringIO(api.get("/api/ranking.csv").body.decode(), newline="")))
    assert [r["name"] for r in rows] == [n.replace("\t", "\ufffd") for n in names]
    assert {r["server"] for r in rows} == {'S"1'}


def test_a_reader_who_takes_its_time_gets_one_ranking(board, pg):
    """More than the socket buffers hold; meanwhile another ranking is published."""
    pg.script("INSERT INTO characters (server, name) SELECT 'Big', 'b' || i FROM generate_series(1, 60000) AS i")
    run = publish(pg, score="-id")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == run, what="the big board")
    with socket.create_connection(("127.0.0.1", board.port)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(b"GET /api/ranking.ndjson HTTP/1.0\r\nHost: x\r\n\r\n")
        data = s.recv(2000)
        later = publish(pg, score="id")
        harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == later, what="another board")
        while part := s.recv(1 << 20):
            data += part
    lines = data.split(b"\r\n\r\n", 1)[1].splitlines()
    assert len(lines) == 60400
    assert [json.loads(line)["rank"] for line in lines] == list(range(1, 60401))
    assert json.loads(lines[0])["name"] == "n0"


def test_readers_who_leave_and_too_many_readers(board, pg):
    pg.script("INSERT INTO characters (server, name) SELECT 'Big', 'b' || i FROM generate_series(1, 60000) AS i")
    run = publish(pg, score="-id")
    harness.wait_for(lambda: board.json("/api/ranking/top?limit=1")["snapshot"]["id"] == run, what="the big board")
    readers = []

    def start():
        s = socket.create_connection(("127.0.0.1", board.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b"GET /api/ranking.csv HTTP/1.1\r\nHost: x\r\n\r\n")
        readers.append(s)
        return s.recv(100)

    def refused():
        return b" 503 " in start()

    harness.wait_for(refused, what="the refusal of one reader more")
    assert len(readers) <= 40
    assert board.get("/api/ranking/top?limit=1").status == 200, "others are served"
    for s in readers:
        s.close()
    harness.wait_for(lambda: board.get("/api/ranking.csv?server=Siel").status == 200, what="room again")


def memory_kb(api):
    with open(f"/proc/{api.program.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_readers_who_leave_leave_nothing_behind(board, pg):
    pg.script("INSERT INTO characters (server, name) SELECT 'Big', 'b' || i FROM generate_series(1, 60000) AS i")
    board.wait_run(publish(pg, score="-id"))
    request = b"GET /api/ranking.csv HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 15000 + b"\r\n\r\n"

    def files():
        return len(os.listdir(f"/proc/{board.program.pid}/fd"))

    def leave(rounds):
        """30 at a time, until the places of all are free again, which of 127.0.0.1 takes longer."""
        for _ in range(rounds):
            idle = files()
            for _ in range(30):
                with socket.create_connection(("127.0.0.1", board.port), 10, ("127.0.0.2", 0)) as s:
                    s.sendall(request)
                    s.recv(100)
            harness.wait_for(lambda: files() <= idle, 10, "their places")

    if b"__asan_init" in (harness.bin_dir() / "aion2-api").read_bytes():
        pytest.skip("the sanitizer keeps what is freed")
    leave(10)  # until the memory that is in use at a time has been taken
    before = memory_kb(board)
    leave(30)
    assert memory_kb(board) < before + 8 * 1024  # their headers alone are 13 MB


# -------------------------------------------------------------------------------- completion

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"


def begins(name, typed):
    """Whether a name is found by what was typed, written from the words of the documentation."""
    for n, t in zip(name, typed):
        initial = INITIALS[(ord(n) - 0xAC00) // 588] if "가" <= n <= "힣" else None
        lower = str.lower if n.isascii() and t.isascii() else str
        if lower(n) != lower(t) and initial != t:
            return False
    return len(name) >= len(typed)


@pytest.fixture
def named(pg, spawn):
    """2,000 characters whose names share their beginnings."""
    rng = random.Random(3)
    letters = "가각나낙다달라마바사아자까ㄱab\"\\AB日"
    names = {"".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(2500)}
    with pg.connect() as conn, conn.cursor() as cur:
        cur.executemany("INSERT INTO characters (server, name) VALUES (%s, %s)",
                        [(rng.choice(SERVERS), n) for n in sorted(names)])
    run = publish(pg, score="mod(id * 7919, 1000)")
    api = Api(spawn, pg.url)
    api.run = run
    harness.wait_for(lambda: api.get("/api/characters?prefix=a").status == 200, what="the names")
    return api


def test_completion_finds_the_best_placed(named, pg):
    rng = random.Random(4)
    board = pg.query("SELECT name, server, rank FROM ranking_rows WHERE run_id = %s ORDER BY rank", (named.run,))
    found = 0
    for _ in range(300):
        name = rng.choice(board)[0]
        typed = "".join(INITIALS[(ord(c) - 0xAC00) // 588] if "가" <= c <= "힣" and rng.random() < .3 else
                        c.swapcase() if c.isascii() and rng.random() < .3 else c
                        for c in name[:rng.randint(1, len(name))])
        server = rng.choice([None, *SERVERS])
        limit = rng.randint(1, 20)
        want = [(n, s, r) for n, s, r in board if begins(n, typed) and server in (None, s)][:limit]
        doc = named.json("/api/characters" + query(prefix=typed, server=server, limit=limit))
        assert [(i["name"], i["server"], i["rank"]) for i in doc["items"]] == want, typed
        found += len(want)
    assert found > 1000


def test_completion_follows_the_ranking(named, pg):
    assert named.json("/api/characters?prefix=zzz")["items"] == []
    assert named.json("/api/characters?prefix=a&server=Nosuch")["items"] == []
    pg.script("INSERT INTO characters (server, name) VALUES ('Siel', 'zzzz')")
    run = publish(pg)
    harness.wait_for(lambda: named.json("/api/characters?prefix=ZZZ")["items"], what="the new name")
    assert named.json("/api/characters?prefix=zzz")["snapshot"]["id"] == run
