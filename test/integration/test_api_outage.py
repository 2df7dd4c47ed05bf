"""aion2-api without PostgreSQL: the stored ranking, what else is known, and coming back."""

import os
import shutil
import signal
import struct
import threading
import zlib

import pytest

import harness
from board import SIX, Api, add_characters, character_path, publish

IMAGE = "ranking.img"
DETAILS = "details.bin"


@pytest.fixture
def stored(pg, spawn, tmp_path):
    """A service with a stored ranking in tmp_path/state."""
    state = tmp_path / "state"
    state.mkdir()
    add_characters(pg, SIX)
    run = publish(pg)
    api = Api(spawn, pg.url, state)
    harness.wait_for((state / IMAGE).exists, 10, "the stored ranking")
    api.run, api.image = run, state / IMAGE
    return api


def details_stored(api, times=1):
    """Until the details were written so often since the service started."""
    harness.wait_for(lambda: api.program.log().count("event=details.stored") >= times, 20,
                     "the stored details")


def restart(api):
    api.program.start()
    api.wait_ready()


def test_boards_go_on_while_postgresql_is_down(stored, pg):
    before = stored.json("/api/ranking/top")
    pg.stop("immediate")
    stored.program.wait_log("state=detached")
    after = stored.get("/api/ranking/top")
    assert after.status == 200 and after.json == before  # young: nothing says it is old
    assert stored.json("/health") == {"status": "ok"}


def test_start_from_the_stored_ranking(stored, pg):
    before = stored.json("/api/ranking/top")
    etag = stored.get("/api/ranking/top").headers["etag"]
    assert stored.program.stop() == 0
    pg.stop("immediate")
    restart(stored)
    a = stored.get("/api/ranking/top")
    assert a.json["items"] == before["items"] and a.json["is_snapshot"] is True
    assert a.json["snapshot"]["stale"] is True and a.json["snapshot"]["id"] == stored.run
    assert int(a.headers["age"]) >= 0
    assert a.headers["cache-control"] == "public, max-age=1"
    assert a.headers["etag"] != etag  # other bytes
    pg.start()
    harness.wait_for(
        lambda: stored.json("/api/ranking/top")["snapshot"]["stale"] is False, 20,
        "the ranking being confirmed",
    )
    again = stored.get("/api/ranking/top")
    assert again.headers["etag"] == etag and "age" not in again.headers
    stored.wait_run(publish(pg))


def test_a_confirmed_ranking_is_not_stale_because_it_was_stored(stored, pg):
    assert stored.program.stop() == 0
    restart(stored)
    harness.wait_for(lambda: stored.json("/api/ranking/top")["snapshot"]["stale"] is False, 10,
                     "the ranking being confirmed")
    pg.stop("immediate")
    stored.program.wait_log("state=detached")
    assert stored.json("/api/ranking/top")["snapshot"]["stale"] is False


def test_an_old_ranking_says_so_once_nobody_confirms_it(pg, spawn):
    add_characters(pg, SIX)
    publish(pg)
    api = Api(spawn, pg.url, BATCH_INTERVAL=1)
    pg.stop("immediate")
    harness.wait_for(lambda: api.json("/api/ranking/top")["snapshot"]["stale"] is True, 20,
                     "the ranking being called stale")
    assert int(api.get("/api/ranking/top").headers["age"]) >= 2


def test_characters_in_full_after_a_start_without_postgresql(stored, pg):
    pg.script("UPDATE characters SET legion = 'Moon', item_level = 3000, fetch_failed_at = now() WHERE id % 2 = 0")
    stored.wait_run(publish(pg))
    paths = [character_path(row[0], row[1]) for row in SIX]
    harness.wait_for(lambda: stored.json(paths[1])["legion"] == "Moon", 10, "the change")
    stored.wait_run(publish(pg))
    harness.wait_for(lambda: (stored.image.parent / DETAILS).exists(), 10, "the file")
    details_stored(stored)
    before = [stored.json(p) for p in paths]
    legions = stored.json("/api/legions?server=Siel")
    assert stored.program.stop() == 0
    pg.stop("immediate")
    restart(stored)
    stored.program.wait_log("event=details.read_back characters=6")
    for path, was in zip(paths, before):
        now = stored.json(path)
        assert now["snapshot"].pop("stale") is True and was["snapshot"].pop("stale") is False
        # what it rose since the ranking before and the day's history are in the image and the store
        assert now == was, path
    assert stored.json("/api/legions?server=Siel")["legions"] == legions["legions"]
    stored.get(character_path("Siel", "Nobody")).problem(503)
    pg.start()
    pg.script("UPDATE characters SET level = 77")
    harness.wait_for(lambda: stored.json(paths[0])["level"] == 77, 20, "the change")


def test_details_are_written_once_until_something_changes(stored, pg):
    """Not with each ranking: the disk is not to be worn by what it has already."""
    details_stored(stored)
    for _ in range(3):
        stored.wait_run(publish(pg))
    assert stored.program.log().count("event=details.stored") == 1
    pg.script("UPDATE characters SET level = 5 WHERE id = (SELECT min(id) FROM characters)")
    harness.wait_for(lambda: stored.json(character_path(*SIX[0][:2]))["level"] == 5, 10, "the change")
    harness.wait_for(lambda: stored.wait_run(publish(pg)) or
                     stored.program.log().count("event=details.stored") == 2, 20, "the second time")


def test_damaged_details_are_refused(stored, pg):
    details_stored(stored)
    assert stored.program.stop() == 0
    path = stored.image.parent / DETAILS
    good = path.read_bytes()
    assert with_checksum(good) == good
    pg.stop("immediate")
    for damage in ("a flipped bit", "cut off", "empty", "grown", "another magic", "another version", "text"):
        path.write_bytes(DAMAGES[damage](good))
        restart(stored)
        stored.program.wait_log("event=details.read_back refused=")
        doc = stored.json(character_path("Siel", "나무꾼"))
        assert doc["stats_payload"] is None and doc["power_score"] == 999
        stored.program.kill()


def test_a_character_from_the_ranking_alone(stored, pg):
    details_stored(stored)
    assert stored.program.stop() == 0
    (stored.image.parent / DETAILS).unlink()
    pg.stop("immediate")
    restart(stored)
    a = stored.get(character_path("Siel", "나무꾼"))
    assert a.status == 200
    doc = a.json
    assert doc["state"] == "stale"
    assert (doc["level"], doc["power"], doc["power_score"]) == (38, 426124, 999)
    assert doc["stats_payload"] is None and doc["percentile"] == 50.0 and doc["mode"] is None
    assert doc["last_fetched_at"] is None and doc["item_level"] is None and doc["legion"] is None
    assert doc["ranks"]["all"]["rank"] == 1
    a = stored.get(character_path("Siel", "Nobody"))
    a.problem(503)
    assert int(a.headers["retry-after"]) >= 1


def test_what_only_postgresql_knows_is_503(stored, pg):
    pg.stop("immediate")
    for path in ("/api/updates", "/api/ranking?server=Nowhere"):
        a = stored.get(path)
        a.problem(503)
        assert int(a.headers["retry-after"]) >= 1
    servers = stored.json("/api/servers")
    assert servers["servers"][:5] == ["Siel", "Israphel", "Nezakan", "Zikel", "Chantra"]
    assert "새 서버" in servers["servers"]
    assert stored.json("/api/ranking?server=Chantra")["items"] == []


def test_neither_postgresql_nor_a_stored_ranking(pg, spawn):
    pg.stop("immediate")
    api = Api(spawn, pg.url)
    for path in ("/api/ranking/top", "/api/ranking", character_path("Siel", "a"), "/api/servers"):
        api.get(path).problem(503)
    assert api.json("/health") == {"status": "ok"}
    pg.start()
    harness.wait_for(lambda: api.get("/api/ranking/top").status == 200, 20, "the live rows")


def test_every_kind_of_request_works_again_after_a_restart(stored, pg):
    for _ in range(2):
        pg.restart("immediate")
        for path in ("/api/updates", "/api/servers"):
            harness.wait_for(lambda p=path: stored.get(p).status == 200, 20, path)
        harness.wait_for(lambda: stored.get(character_path("Siel", "Nobody")).status == 404, 20,
                         "a character from PostgreSQL")
        stored.wait_run(publish(pg), timeout=20)


def test_killed_connections_are_replaced(stored, pg):
    pg.script("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
              " WHERE application_name LIKE 'aion2-api%' AND pid <> pg_backend_pid()")
    harness.wait_for(lambda: stored.get(character_path("Siel", "Nobody")).status == 404, 10,
                     "characters from PostgreSQL")
    stored.wait_run(publish(pg))


def test_a_locked_table_answers_in_time(stored, pg):
    """Queries that hang end by their deadline; boards do not notice."""
    conn = pg.connect(autocommit=False)
    with conn.cursor() as cur:
        cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
        slow = []
        thread = threading.Thread(target=lambda: slow.append(stored.get("/api/updates")))
        thread.start()
        assert stored.json("/api/ranking/top")["total"] == 6
        thread.join(30)
    conn.rollback()
    conn.close()
    slow[0].problem(503)
    harness.wait_for(lambda: stored.get("/api/updates").status == 200, 10, "updates again")


def test_more_waiting_queries_than_the_queue_holds(stored, pg):
    """API_THREADS=2: 2 x (2 running + 256 waiting) queries have a place."""
    conn = pg.connect(autocommit=False)
    answers = []
    with conn.cursor() as cur:
        cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")
        socks = [stored.socket() for _ in range(700)]
        for s in socks:
            s.sendall(b"GET /api/updates HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for s in socks:
            s.settimeout(30)
            out = b""
            while chunk := s.recv(4096):
                out += chunk
            answers.append(out.split(b" ", 2)[1])
            s.close()
    conn.rollback()
    conn.close()
    assert set(answers) == {b"503"}
    harness.wait_for(lambda: stored.get("/api/updates").status == 200, 10, "updates again")


# --------------------------------------------------------------------------- the stored file


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def with_checksum(data):
    """The CRC is a 4-byte field at 12, computed with that field 0."""
    body = data[:12] + b"\0\0\0\0" + data[16:]
    return data[:12] + struct.pack("<I", zlib.crc32(body)) + data[16:]


DAMAGES = {
    "a flipped bit": lambda d: flip(d, len(d) // 2),
    "cut off": lambda d: d[: len(d) // 2],
    "empty": lambda d: b"",
    "grown": lambda d: d + b"\0" * 8,
    "another magic": lambda d: with_checksum(flip(d, 0)),
    "another version": lambda d: with_checksum(flip(d, 8)),
    "a count that is too large": lambda d: with_checksum(flip(d, 50)),
    "text": lambda d: b"not an image" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_refused_and_replaced(stored, pg, damage):
    good = stored.image.read_bytes()
    assert with_checksum(good) == good
    assert stored.program.stop() == 0
    stored.image.write_bytes(damage(good))
    pg.stop("immediate")
    restart(stored)
    assert "event=ranking.stored refused=" in stored.program.log()
    stored.get("/api/ranking/top").problem(503)
    pg.start()
    harness.wait_for(lambda: stored.get("/api/ranking/top").status == 200, 20, "the ranking")
    harness.wait_for(lambda: len(stored.image.read_bytes()) == len(good), 10, "the file anew")


def test_killed_while_storing(stored, pg):
    """Whatever moment: the next start finds a whole file."""
    add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(3000)])
    for i in range(8):
        run = publish(pg, drop_older=True)
        if i % 2:
            harness.wait_for(lambda r=run: f"run={r} " in stored.program.log(), 10, "the load")
        stored.program.kill()
        pg.stop("immediate")
        restart(stored)
        assert "event=ranking.stored refused" not in stored.program.log()
        assert stored.json("/api/ranking/top")["snapshot"]["stale"] is True
        pg.start()
        stored.wait_run(run, timeout=20)


def test_a_folder_that_cannot_be_used_is_only_a_warning(pg, spawn, tmp_path):
    add_characters(pg, SIX)
    publish(pg)
    api = Api(spawn, pg.url, tmp_path / "missing")
    assert api.json("/api/ranking/top")["total"] == 6
    api.program.wait_log("level=warn program=api")
    assert "event=ranking.store " in api.program.log()
    api.wait_run(publish(pg))


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_not_fatal(pg, spawn, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {small}") != 0:
        pytest.skip("may not mount")
    try:
        add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(3000)])
        first = publish(pg, where="id <= 5")
        api = Api(spawn, pg.url, small)
        harness.wait_for((small / IMAGE).exists, 10, "the stored ranking")
        good = (small / IMAGE).read_bytes()
        second = publish(pg)
        api.wait_run(second)
        api.program.wait_log("event=ranking.store ")
        assert (small / IMAGE).read_bytes() == good and not list(small.glob("*.new"))
        assert first != second
        api.wait_run(publish(pg, where="id <= 6"))
        harness.wait_for(lambda: (small / IMAGE).read_bytes() != good, 10, "storing again")
        assert api.program.stop() == 0  # it holds the socket of its admin side there
    finally:
        os.system(f"umount {small}")


def test_two_services_share_a_folder(stored, pg, spawn):
    other = Api(spawn, pg.url, stored.image.parent)
    for _ in range(5):
        run = publish(pg)
        stored.wait_run(run)
        other.wait_run(run)
    for api in (stored, other):
        assert api.program.stop() == 0
    pg.stop("immediate")
    restart(stored)
    assert stored.json("/api/ranking/top")["snapshot"]["id"] == run


def test_a_left_over_file_does_not_disturb(stored, pg):
    assert stored.program.stop() == 0
    shutil.copy(stored.image, stored.image.with_suffix(".img.new"))
    restart(stored)
    run = publish(pg)
    stored.wait_run(run)
    harness.wait_for(lambda: not list(stored.image.parent.glob("*.new")), 10, "the rename")
    assert stored.program.stop() == 0
    pg.stop("immediate")
    restart(stored)
    assert stored.json("/api/ranking/top")["snapshot"]["id"] == run


def test_stop_while_postgresql_does_not_answer(stored, pg):
    os.kill(pg.cluster.proc.pid, signal.SIGSTOP)
    try:
        assert stored.program.stop() == 0
    finally:
        os.kill(pg.cluster.proc.pid, signal.SIGCONT)
