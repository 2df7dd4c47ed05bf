"""A point a day of everybody's place: written by the batch, shown by the api."""

from datetime import date, timedelta
from urllib.parse import quote

import pytest

import batch_lab
import harness
from board import Api, character_path

ROWS = [("Siel", f"H{i}", ("Warrior", "Ranger")[i % 2], 1, 100 + i if i else None, {"hp": 10 * i, "attack": 5})
        for i in range(12)]


def history_path(name, server="Siel", **params):
    more = "".join(f"&{k}={v}" for k, v in params.items())
    return f"/api/character/history?server={quote(server)}&name={quote(name)}{more}"


def days(pg):
    return [d for (d,) in pg.query("SELECT substring(c.relname FROM '[0-9]{8}$') FROM pg_inherits AS i"
                                   " JOIN pg_class AS c ON c.oid = i.inhrelid"
                                   " WHERE i.inhparent = 'character_history'::regclass ORDER BY 1")]


def backdate(pg, by):
    """What was written as the newest day becomes an older one."""
    name = f"character_history_{days(pg)[-1]}"
    old = pg.value(f"SELECT day FROM {name} LIMIT 1")
    new = old - timedelta(days=by)
    target = f"character_history_{new:%Y%m%d}"
    pg.script(f"ALTER TABLE character_history DETACH PARTITION {name}; ALTER TABLE {name} RENAME TO {target};"
              f"ALTER TABLE {target} DROP CONSTRAINT {name}_day_check; UPDATE {target} SET day = '{new}';"
              f"ALTER TABLE character_history ATTACH PARTITION {target} FOR VALUES IN ('{new}')")
    return new


def test_the_first_batch_of_a_day_writes_it(pg):
    batch_lab.add(pg, ROWS)
    batch_lab.batch(pg)
    first = batch_lab.entries(pg)
    points = pg.query("SELECT character_id, power, power_score, rank, server_rank, class_rank"
                      " FROM character_history ORDER BY rank")
    assert points == [(e.id, e.power, e.score, e.rank, e.server_rank, e.class_rank) for e in first]
    assert len(points) == len(ROWS)
    today = pg.value("SELECT (generated_at AT TIME ZONE 'Asia/Seoul')::date FROM ranking_state")
    assert pg.query("SELECT DISTINCT day FROM character_history") == [(today,)]
    assert days(pg) == [f"{today:%Y%m%d}"]
    pg.script("UPDATE characters SET power = 7")
    batch_lab.batch(pg)  # midnight in Seoul between the two would be a further day
    assert pg.query("SELECT character_id, power, power_score, rank, server_rank, class_rank"
                    f" FROM character_history_{today:%Y%m%d} ORDER BY rank") == points


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_day_is_that_of_the_zone(pg, zone):
    batch_lab.add(pg, ROWS)
    batch_lab.batch(pg, HISTORY_TIME_ZONE=zone)
    assert days(pg) == [pg.value(f"SELECT to_char(generated_at AT TIME ZONE '{zone}', 'YYYYMMDD') FROM ranking_state")]


def test_a_day_that_cannot_be_written_harms_nothing_and_comes_later(pg):
    batch_lab.add(pg, ROWS)
    pg.script("ALTER TABLE character_history RENAME TO away")
    assert batch_lab.batch(pg)["status"] == "success"
    pg.script("ALTER TABLE away RENAME TO character_history")
    assert days(pg) == []
    assert batch_lab.batch(pg)["status"] == "success"
    assert len(days(pg)) == 1 and pg.value("SELECT count(*) FROM character_history") == len(ROWS)


def test_a_zone_that_does_not_exist_is_refused():
    done = harness.run_program("aion2-worker", "--check-config", env={"HISTORY_TIME_ZONE": "Mars/Base"})
    assert done.returncode != 0 and "Mars/Base" in done.stdout + done.stderr


def test_the_api_shows_the_days(pg, spawn):
    batch_lab.add(pg, ROWS)
    written = []
    for back in (399, 40, 3, 1, 0):
        pg.script("UPDATE characters SET power = coalesce(power, 0) + 1")
        batch_lab.batch(pg)
        written.append((backdate(pg, back) if back else pg.value("SELECT max(day) FROM character_history"),
                        {e.name: e for e in batch_lab.entries(pg)}))
    api = Api(spawn, pg.url)

    def expected(name, points):
        return [{"day": str(day), "power": by[name].power, "power_score": by[name].score, "rank": by[name].rank,
                 "server_rank": by[name].server_rank, "class_rank": by[name].class_rank} for day, by in points]

    for name in ("H0", "H5", "H11"):
        doc = api.json(history_path(name, days=400))
        assert (doc["server"], doc["name"]) == ("Siel", name)
        assert doc["days"] == expected(name, written)
        assert api.json(history_path(name, days=2))["days"] == expected(name, written[3:])
        assert api.json(history_path(name))["days"] == expected(name, written[2:])
        assert api.json(history_path(name, days=50))["days"] == expected(name, written[1:])


def test_who_has_no_history(pg, spawn):
    batch_lab.add(pg, ROWS)
    batch_lab.batch(pg)
    batch_lab.add(pg, [("Siel", "New", "Ranger", 1, 1, {"hp": 1})])
    api = Api(spawn, pg.url)
    assert api.json(history_path("New"))["days"] == []
    assert api.get(history_path("Nobody")).problem(404) == "Character not found"
    assert len(api.json(history_path("H1"))["days"]) == 1
    pg.stop("immediate")
    api.get(history_path("H1")).problem(503)


def test_days_of_before_are_not_lost_by_an_unused_database(pg):
    """A day without a batch has no point; the next batch writes its own day only."""
    batch_lab.add(pg, ROWS)
    batch_lab.batch(pg)
    backdate(pg, 10)
    batch_lab.batch(pg)
    first, second = days(pg)
    assert date.fromisoformat(second) - date.fromisoformat(first) >= timedelta(days=10)


def test_the_change_since_the_day_began(pg, spawn):
    batch_lab.add(pg, ROWS)
    batch_lab.batch(pg)
    day = backdate(pg, 1)
    then = {e.name: e for e in batch_lab.entries(pg)}
    api = Api(spawn, pg.url)

    def change(name):
        return api.json(character_path("Siel", name))["rank_change"]["day"]

    def expected(name, day, then):
        now = {e.name: e for e in batch_lab.entries(pg)}
        return {"day": str(day), "all": then[name].rank - now[name].rank,
                "server": then[name].server_rank - now[name].server_rank}

    # Another order, without a day of its own.
    pg.script("UPDATE characters SET stats_payload = jsonb_build_object('hp', 500 - 7 * id, 'attack', 5);"
              "INSERT INTO characters (server, name, stats_payload) VALUES ('Siel', 'New', '{\"hp\": 9}')")
    today = pg.value("SELECT to_char(now() AT TIME ZONE 'Asia/Seoul', 'YYYYMMDD')")
    pg.script(f"CREATE TABLE character_history_{today} ()")  # in its way
    batch_lab.batch(pg)
    for name in ("H0", "H5", "H11"):
        harness.wait_for(lambda n=name: change(n) == expected(n, day, then), 20, name)
    assert change("H0")["all"] != 0 and change("New") is None
    # The day comes, from this ranking.
    pg.script(f"DROP TABLE character_history_{today}")
    batch_lab.batch(pg)
    newest = pg.value("SELECT max(day) FROM character_history")
    assert newest > day
    for name in ("H0", "H5", "New"):
        harness.wait_for(lambda n=name: change(n) == {"day": str(newest), "all": 0, "server": 0}, 20, name)
