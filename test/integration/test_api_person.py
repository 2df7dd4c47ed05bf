"""Characters from memory: the same as PostgreSQL tells, kept fresh, and there while it is away."""

import json
from datetime import datetime, timedelta, timezone

import pytest

import harness
from board import Api, add_characters, character_path, publish

FULL = ('{"hp": 13474, "attack": 409, "defense": 643, "crit_rate": 78, "damage_amp": 196, "crit_damage": 253,'
        ' "attack_speed": 100, "damage_reduction": 96}')
PAYLOADS = [
    FULL,
    FULL[:-1] + ', "mode": "sheet"}',
    FULL[:-1] + ', "mode": "profile"}',
    FULL[:-1] + ', "mode": 7}',
    FULL[:-1] + ', "extra": [1, {"a": null}]}',
    FULL.replace("409", "409.50"),
    FULL.replace("409", "4294967296"),
    FULL.replace("409", "-0"),
    FULL.replace("409", "1e3"),
    '{"hp": 1, "note": "\\ud83d\\ude00 \\"quoted\\" \\\\ 나무"}',
    "{}",
    "[1, 2]",
    '"text"',
    "null",
    None,
    json.dumps({"x": "y" * 4000}),
    json.dumps({"x": "y" * 5000, "hp": 3}),
    json.dumps({f"k{i}": i for i in range(400)}),
]


def people(rows=6):
    return [("Siel", f"P{i}", ("Warrior", "Ranger")[i % 2], 40 + i, 1000 + i, FULL) for i in range(rows)]


def loaded(api, times=1):
    """Until everybody was read so often since the service started."""
    harness.wait_for(lambda: api.program.log().count("event=details.loaded") >= times, 20,
                     "the details being loaded")


class Locked:
    """Nobody reads characters meanwhile: what answers then is memory."""

    def __init__(self, pg):
        self.conn = pg.connect(autocommit=False)

    def __enter__(self):
        with self.conn.cursor() as cur:
            cur.execute("LOCK TABLE characters IN ACCESS EXCLUSIVE MODE")

    def __exit__(self, *args):
        self.conn.rollback()
        self.conn.close()


@pytest.fixture
def api(pg, spawn):
    add_characters(pg, people())
    run = publish(pg)
    api = Api(spawn, pg.url)
    api.run = run
    loaded(api)
    return api


def character(api, name, server="Siel"):
    return api.json(character_path(server, name))


def test_memory_answers_as_postgresql_does(pg, spawn):
    names = [f"N{i}" for i in range(len(PAYLOADS))]
    add_characters(pg, [("Siel", n, "Ranger", 1, None, p) for n, p in zip(names, PAYLOADS)])
    pg.script("UPDATE characters SET legion = 'L ' || name, item_level = id,"
              " last_fetched_at = CASE WHEN id % 2 = 0 THEN last_fetched_at END")
    api = Api(spawn, pg.url)  # nothing is published: PostgreSQL tells
    asked = {n: api.json(character_path("Siel", n)) for n in names}
    texts = dict(pg.query("SELECT name, stats_payload::text FROM characters"))
    api.wait_run(publish(pg))
    loaded(api)
    with Locked(pg):
        kept = [n for n in names if len(texts[n] or "") <= 4000]
        told = {n: api.get(character_path("Siel", n)) for n in kept}
    assert len(kept) == len(names) - 3
    told |= {n: api.get(character_path("Siel", n)) for n in names if n not in told}
    places = ("power_score", "power_rank", "percentile", "last_scored_at", "ranks", "rank_change",
              "next", "snapshot")
    for n in names:
        assert told[n].status == 200
        text = texts[n] or "null"
        if len(text) <= 4096:
            assert f'"stats_payload":{text},"fetch_status"'.encode() in told[n].body, n
        doc = told[n].json
        assert list(doc) == list(asked[n])
        assert {k: v for k, v in doc.items() if k not in places} == \
            {k: v for k, v in asked[n].items() if k not in places}
        assert (doc["legion"], doc["item_level"]) == (f"L {n}", doc["id"])
    assert [told[n].json["mode"] for n in names[:4]] == ["sheet", "sheet", "profile", "sheet"]
    assert [told[f"N{i}"].json["mode"] for i in (10, 14)] == [None, None]


@pytest.mark.parametrize("change, member, value", [
    ("level = 99", "level", 99),
    ("power = NULL", "power", None),
    ("class = 'Cleric'", "class", "Cleric"),
    ("legion = '달빛'", "legion", "달빛"),
    ("item_level = 3000", "item_level", 3000),
    ("stats_payload = '{\"hp\": 5}'", "stats_payload", {"hp": 5}),
    ("last_fetched_at = '2026-02-03 04:05:06.000007+00'", "last_fetched_at", "2026-02-03T04:05:06.000007Z"),
    ("fetch_failed_at = now()", "state", "unavailable"),
    ("last_fetched_at = now()", "state", "live"),
])
def test_a_change_is_heard(api, pg, change, member, value):
    assert character(api, "P2")[member] != value
    pg.script(f"UPDATE characters SET {change} WHERE name = 'P2'")
    harness.wait_for(lambda: character(api, "P2")[member] == value, 10, change)

    def memory_knows():
        with Locked(pg):
            return character(api, "P2")[member] == value

    harness.wait_for(memory_knows, 10, "memory knowing it")


def test_gone_and_renamed_characters(api, pg):
    pg.script("DELETE FROM characters WHERE name = 'P1'")
    pg.script("UPDATE characters SET name = 'Q2' WHERE name = 'P2'")
    for name in ("P1", "P2"):
        harness.wait_for(lambda n=name: api.get(character_path("Siel", n)).status == 404, 10, name)
    assert character(api, "Q2")["ranks"] is None
    add_characters(pg, [("Siel", "P1", "Cleric", 7, 7, None)])
    harness.wait_for(lambda: api.get(character_path("Siel", "P1")).status == 200, 10, "the new P1")
    assert character(api, "P1")["class"] == "Cleric"


def test_many_changes_at_once(api, pg):
    pg.script("INSERT INTO characters (server, name, class, power) SELECT 'Zikel', 'm' || i, 'Cleric', i"
              " FROM generate_series(1, 9000) AS i")
    run = publish(pg)
    api.wait_run(run)
    pg.script("UPDATE characters SET level = 77")
    for name, server in (("m1", "Zikel"), ("m9000", "Zikel"), ("P0", "Siel")):
        harness.wait_for(lambda n=name, s=server: character(api, n, s)["level"] == 77, 10, name)
    pg.script("DELETE FROM characters WHERE name LIKE 'm%'")
    harness.wait_for(lambda: api.get(character_path("Zikel", "m9000")).status == 404, 10, "the end")
    pg.script("TRUNCATE characters CASCADE")
    harness.wait_for(lambda: api.get(character_path("Siel", "P0")).status == 404, 10, "the end")
    harness.wait_for(lambda: "event=details.loaded characters=0 " in api.program.log(), 30,
                     "memory being empty")


def test_what_anybody_may_tell_on_the_channel_does_no_harm(api, pg):
    texts = ["", ",", "1,", "x", "-1", "99999999999999999999", "1" + ",1" * 3000, "9" * 7000,
             ",".join(str(i) for i in range(1500))]
    for _ in range(3):
        for text in texts:
            pg.script(f"SELECT pg_notify('aion2_characters', '{text}')")
    pg.script("UPDATE characters SET level = 3")
    harness.wait_for(lambda: character(api, "P5")["level"] == 3, 10, "the change")


def test_while_postgresql_is_away_memory_goes_on(api, pg):
    before = character(api, "P3")
    pg.stop("immediate")
    api.program.wait_log("state=detached")
    assert character(api, "P3") == before and before["stats_payload"]["hp"] == 13474
    api.get(character_path("Siel", "Nobody")).problem(503)
    pg.start()
    harness.wait_for(lambda: api.get(character_path("Siel", "Nobody")).status == 404, 20, "PostgreSQL")
    pg.script("UPDATE characters SET level = 5 WHERE name = 'P3'")
    harness.wait_for(lambda: character(api, "P3")["level"] == 5, 20, "the change")
    loaded(api, 2)


def test_changes_while_nobody_listens_are_found(api, pg):
    for level in (50, 51, 52):
        pg.script("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  " WHERE application_name = 'aion2-api loader';"
                  f"UPDATE characters SET level = {level}")
        harness.wait_for(lambda: character(api, "P4")["level"] == level, 20, "the change")


def test_a_ranking_is_served_while_the_table_is_locked(pg, spawn):
    add_characters(pg, people())
    publish(pg)
    run = publish(pg)
    with Locked(pg):
        api = Api(spawn, pg.url)
        before = api.json("/api/ranking/top")["snapshot"]
        assert before["id"] == run
        api.program.wait_log("event=details.read")
        pg.script("UPDATE ranking_state SET generated_at = clock_timestamp(); NOTIFY aion2_ranking")
        harness.wait_for(lambda: api.json("/api/ranking/top")["snapshot"] != before, 10, "the ranking")
    loaded(api)
    assert character(api, "P1")["level"] == 41


# ------------------------------------------------------------------------------------ its place


def expected_place(rows, name):
    """rows: (name, server, class, score, tier), best first, of one server's tiers."""
    row = next(r for r in rows if r[0] == name)

    def rank(among):
        of = len(among)
        place = among.index(row) + 1
        return {"rank": place, "tied_rank": 1 + sum(r[3] > row[3] for r in among), "of": of,
                "top_percent": -(-place * 10000 // of) / 100}

    server = [r for r in rows if r[1] == row[1]]
    higher = [r for r in server if r[3] > row[3]]
    return {"all": rank(rows), "server": rank(server),
            "class": rank([r for r in rows if r[2] == row[2]])}, higher


def ranks_of(pg, run):
    return pg.query("SELECT name, rank, server_rank FROM ranking_rows WHERE run_id = %s", (run,))


def test_ranks_and_what_comes_next(pg, spawn):
    add_characters(pg, [(("Siel", "Zikel")[i % 2], f"R{i:02}", ("Warrior", "Ranger", "Cleric")[i % 3], 1,
                         100 - i, FULL) for i in range(30)])
    first = publish(pg, score="id / 3")
    api = Api(spawn, pg.url)
    run = publish(pg, score="1000 - id / 4")
    tiers = "CASE WHEN power_score > 996 THEN 2 WHEN power_score > 994 THEN 7 ELSE 20 END::bigint"
    pg.script(f"UPDATE ranking_entries_{run} SET traits = (traits & ~62::bigint) | (({tiers}) << 1);"
              "UPDATE ranking_state SET generated_at = clock_timestamp(); NOTIFY aion2_ranking")
    rows = pg.query("SELECT name, server, class, power_score, power_rank FROM ranking_rows WHERE run_id = %s"
                    " ORDER BY rank", (run,))
    assert len({r[4] for r in rows}) == 3
    before = {r[0]: r[1:] for r in ranks_of(pg, first)}
    after = {r[0]: r[1:] for r in ranks_of(pg, run)}
    last = rows[-1]
    harness.wait_for(lambda: character(api, last[0], last[1])["power_rank"] == last[4], 10, "the tiers")
    for name, server, _, _, tier in rows:
        doc = character(api, name, server)
        ranks, higher = expected_place(rows, name)
        assert doc["ranks"] == ranks
        assert doc["rank_change"]["run"] == {"all": before[name][0] - after[name][0],
                                             "server": before[name][1] - after[name][1]}
        better = [r for r in higher if r[4] != tier]
        assert doc["next"] == {
            "tier": better[-1][4] if better else None, "score_needed": better[-1][3] if better else None,
            "rank": len(higher) or None, "rank_score": higher[-1][3] if higher else None}
        assert doc["snapshot"]["id"] == run


def test_who_is_not_on_the_board_has_no_place(api, pg):
    add_characters(pg, [("Siel", "New", "Cleric", 7, None, None)])
    doc = character(api, "New")
    assert doc["ranks"] is None and doc["rank_change"] is None and doc["next"] is None
    assert doc["snapshot"]["id"] == api.run


def test_states(pg, spawn):
    now = datetime.now(timezone.utc)
    cases = {"fresh": (now, None, "live"), "old": (now - timedelta(seconds=200), None, "stale"),
             "never": (None, None, "stale"), "failed": (now - timedelta(seconds=5), now, "unavailable"),
             "recovered": (now, now - timedelta(seconds=5), "live"), "hopeless": (None, now, "unavailable")}
    add_characters(pg, [("Siel", n, "Cleric", 1, 1, FULL) for n in cases])
    for name, (fetched, failed, _) in cases.items():
        conn = pg.connect()
        with conn.cursor() as cur:
            cur.execute("UPDATE characters SET last_fetched_at = %s, fetch_failed_at = %s WHERE name = %s",
                        (fetched, failed, name))
        conn.close()
    publish(pg)
    api = Api(spawn, pg.url, SOURCE_STALE_AFTER=100)
    loaded(api)
    assert {n: character(api, n)["state"] for n in cases} == {n: c[2] for n, c in cases.items()}
