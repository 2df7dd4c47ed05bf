"""A server whose data cannot be read fails as a whole; the others go on."""

import json

import pytest

import batch_lab
import harness
import oracle
from batch_lab import add, batch
from servers import Postgres

SERVERS = ["Siel", "Chantra", "Zikel"]  # "Siel" is the one that gets damaged
EACH = 200  # characters on a server; Siel's fill some pages alone


@pytest.fixture
def damaged():
    """A database of a cluster with checksums, so that damage on disk is an error and not data."""
    cluster = Postgres(checksums=True, options={"autovacuum": "off"}.items())
    database = cluster.create_database()
    harness.run_program("aion2ctl", "migrate", env={"DATABASE_URL": database.url}, check=True)
    yield database
    cluster.destroy()


def populate(pg):
    """Server after server, so that each has pages of its own; only Siel's payloads are large."""
    for server in SERVERS:
        pad = "p" * (30_000 if server == "Siel" else 700)
        add(pg, [(server, f"c{i}", f"class{i % 3}", i, i * 10,
                  {"attack": 10 + i * 7 % 40, "pad": pad}) for i in range(EACH)])


def flip(pg, relation, blocks):
    """Changes bytes of these blocks in the file of the relation, as a bad disk does."""
    pg.query("CHECKPOINT")
    path = pg.cluster.data / pg.value("SELECT pg_relation_filepath(%s::regclass)", (relation,))
    pg.stop()
    with open(path, "r+b") as f:
        for block in blocks:
            f.seek(block * 8192 + 5000)
            old = f.read(16)
            f.seek(block * 8192 + 5000)
            f.write(bytes(b ^ 0x5A for b in old))
    pg.start()


def blocks_of(pg, relation):
    return range(pg.value("SELECT pg_relation_size(%s::regclass) / 8192", (relation,)))


def toast_of_characters(pg):
    return pg.value("SELECT reltoastrelid::regclass::text FROM pg_class"
                    " WHERE oid = 'characters'::regclass")


def check_without_siel(pg, before, result, characters):
    """The oracle's board: everybody but Siel scored, Siel's entries as they were."""
    board = oracle.run(characters, before, batch_lab.instant(result), failed_servers={"Siel"})
    assert batch_lab.entries(pg) == board.entries
    assert result["processed"] == board.processed
    assert result["servers"] == 2
    assert not any(e.stale for e in board.entries)
    return board


def siel_rows(pg, run_id):
    return (pg.query("SELECT server, generated_at, total, top_list FROM ranking_snapshots"
                     " WHERE server = 'Siel' AND run_id = %s", (run_id,)),
            pg.query(f"SELECT server, sample_size, tier_cutoffs, {batch_lab.STAT_COLUMNS}"
                     " FROM server_stats WHERE server = 'Siel' AND run_id = %s", (run_id,)))


def test_damaged_payloads_of_one_server(damaged):
    pg = damaged
    populate(pg)
    before = batch_lab.check(pg, batch(pg))
    first_run = pg.value("SELECT run_id FROM ranking_state")
    # new data for everybody; Siel's is not to appear. One has moved away from Siel.
    pg.query("UPDATE characters SET level = level + 1 WHERE server <> 'Siel'")
    pg.query("UPDATE characters SET level = 77 WHERE server = 'Siel'")
    moved = pg.value("UPDATE characters SET server = 'Zikel', name = 'moved',"
                     " stats_payload = '{\"attack\": 30}' WHERE server = 'Siel' AND name = 'c7'"
                     " RETURNING id")
    characters = batch_lab.characters(pg)
    flip(pg, toast_of_characters(pg), blocks_of(pg, toast_of_characters(pg)))

    done = batch_lab.run_batch(pg)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    board = check_without_siel(pg, before, result, characters)
    assert [e.server for e in board.entries if e.id == moved] == ["Zikel"]
    assert result["failed"] == EACH - 1
    failures = pg.query("SELECT character_id, server, name, reason FROM batch_failures")
    assert [f[:3] for f in failures] == [(None, "Siel", None)]
    assert "invalid page" in failures[0][3]
    assert "event=batch.server_failed" in done.stderr

    # header, time and averages of its board are those of the run before
    second_run = pg.value("SELECT run_id FROM ranking_state")
    (old_board,), old_stats = siel_rows(pg, first_run)
    (new_board,), new_stats = siel_rows(pg, second_run)
    assert new_stats == old_stats
    assert new_board[1] == old_board[1]
    assert new_board[2] == EACH - 1

    # and once more: what was carried over is carried over again
    result = batch(pg)
    check_without_siel(pg, board, result, characters)
    third_run = pg.value("SELECT run_id FROM ranking_state")
    assert siel_rows(pg, third_run) == ([new_board], old_stats)


def test_damaged_rows_cannot_even_be_counted(damaged):
    pg = damaged
    populate(pg)
    before = batch_lab.check(pg, batch(pg))
    characters = batch_lab.characters(pg)
    by_block = {}
    for block, server in pg.query("SELECT DISTINCT (ctid::text::point)[0]::int, server"
                                  " FROM characters"):
        by_block.setdefault(block, set()).add(server)
    of_siel_alone = [b for b, servers in by_block.items() if servers == {"Siel"}]
    assert of_siel_alone
    flip(pg, "characters", of_siel_alone)

    result = batch(pg)
    check_without_siel(pg, before, result, characters)
    assert result["failed"] == 1
    assert "cannot be counted" in pg.value("SELECT reason FROM batch_failures")


def test_a_server_that_fails_before_it_ever_was_on_the_board(damaged):
    pg = damaged
    populate(pg)
    characters = batch_lab.characters(pg)
    flip(pg, toast_of_characters(pg), blocks_of(pg, toast_of_characters(pg)))
    result = batch(pg)
    check_without_siel(pg, None, result, characters)
    assert result["failed"] == EACH
    assert pg.query("SELECT 1 FROM ranking_snapshots WHERE server = 'Siel'") == []


def test_a_live_ranking_that_cannot_be_read_does_not_stop_the_next(damaged):
    """Whose score is lost there and whose stats are bad now has none; everybody else is ranked."""
    pg = damaged
    populate(pg)
    batch(pg)
    bad = pg.value("UPDATE characters SET stats_payload = '[]' WHERE server = 'Zikel'"
                   " AND name = 'c3' RETURNING id")
    characters = batch_lab.characters(pg)
    live = f"ranking_entries_{pg.value('SELECT run_id FROM ranking_state')}"
    flip(pg, live, blocks_of(pg, live))

    done = batch_lab.run_batch(pg)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    board = oracle.run(characters, None, batch_lab.instant(result))
    assert batch_lab.entries(pg) == board.entries
    assert bad not in {e.id for e in board.entries}
    assert (result["processed"], result["failed"]) == (3 * EACH - 1, 1)
    assert "event=batch.not_kept" in done.stderr
