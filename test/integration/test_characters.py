"""The table of characters: what its triggers do for whoever writes to it."""

import pytest

from harness import wait_for

ADD = ("INSERT INTO characters (server, name, class, power, stats_payload, updated_at)"
       " SELECT 'Siel', 'n' || i, 'Ranger', i, '{{\"hp\": 1}}', '2026-01-01' FROM generate_series({}, {}) AS i")


@pytest.fixture
def told(pg):
    """A function: what NOTIFY has told since the last call."""
    conn = pg.connect()
    with conn.cursor() as cur:
        cur.execute("LISTEN aion2_characters")

    def take(count=1):
        def arrived():
            conn.poll()
            return len(conn.notifies) >= count

        if count:
            wait_for(arrived, what="the notification")
        conn.poll()
        texts = [n.payload for n in conn.notifies]
        conn.notifies.clear()
        return texts

    yield take
    conn.close()


def test_changes_are_told_with_their_ids(pg, told):
    pg.script(ADD.format(1, 3))
    ids = sorted(int(i) for i in told()[0].split(","))
    assert ids == sorted(r[0] for r in pg.query("SELECT id FROM characters"))
    pg.script("UPDATE characters SET power = 7 WHERE name = 'n2'")
    assert told() == [str(pg.value("SELECT id FROM characters WHERE name = 'n2'"))]
    gone = pg.value("DELETE FROM characters WHERE name = 'n2' RETURNING id")
    assert told() == [str(gone)]


def test_many_changes_are_told_as_many(pg, told):
    pg.script(ADD.format(1, 401))
    pg.script(ADD.format(1001, 1400))
    first, second = told(2)
    assert first == "many"
    assert len(second.split(",")) == 400
    pg.script("TRUNCATE characters")
    assert told() == ["many"]


def test_nothing_changed_tells_nothing(pg, told):
    pg.script("UPDATE characters SET power = 7 WHERE name = 'nobody'")
    pg.script("DELETE FROM characters WHERE name = 'nobody'")
    pg.script(ADD.format(1, 1))  # the first word is about this one
    assert told() == [str(pg.value("SELECT id FROM characters"))]


@pytest.mark.parametrize("column, value", [
    ("power", "8"), ("level", "9"), ("class", "'Cleric'"), ("name", "'other'"),
    ("stats_payload", "'{\"hp\": 2}'"), ("stats_payload", "NULL"), ("legion", "'L'"), ("item_level", "5")])
def test_data_changed_by_hand_counts_as_updated(pg, column, value):
    pg.script(ADD.format(1, 1))
    pg.script(f"UPDATE characters SET {column} = {value}")
    assert pg.value("SELECT now() - updated_at < interval '1 hour' FROM characters")


@pytest.mark.parametrize("change", [
    "power = 1", "last_fetched_at = now()", "raw_payload = '{}'", "fetch_error = 'x', fetch_failed_at = now()",
    "power = 9, updated_at = '2026-01-02'"])
def test_a_fetch_that_finds_the_same_is_no_update(pg, change):
    pg.script(ADD.format(1, 1))
    pg.script(f"UPDATE characters SET {change}")
    assert pg.value("SELECT updated_at < '2026-01-03' FROM characters")


def test_the_view_with_scores_has_the_new_columns(pg):
    pg.script(ADD.format(1, 1))
    assert pg.query("SELECT legion, item_level, power_score FROM characters_scored") == [("", None, None)]
