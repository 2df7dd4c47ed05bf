"""POST /api/search: what is answered, what is stored, who may ask how often."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

import harness
import source_site
from board import Api, add_characters, character_path, publish

PATH = "/api/search"
JSON = {"Content-Type": "application/json"}
STATS = {"attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense", "damage_reduction", "hp"}
SHEET = '{"hp": 1, "mode": "sheet"}'
PROFILE = '{"hp": 1, "mode": "profile"}'


@pytest.fixture
def start(pg, redis_server, spawn):
    """An api of the dummy source unless settings say otherwise, without a limit per client."""

    def start_api(**settings):
        api = Api(spawn, pg.url, **{"REDIS_URL": redis_server.url, "SEARCH_RATE_PER_MINUTE": 0} | settings)
        api.program.wait_log("event=search.redis state=up")
        return api

    return start_api


@pytest.fixture
def site():
    site = source_site.SourceSite("kr")
    yield site
    site.close()


def search(api, server, name, **headers):
    body = json.dumps({"server": server, "name": name}, ensure_ascii=False).encode()
    headers = JSON | {k.replace("_", "-"): v for k, v in headers.items()}
    return api.ask(PATH, method="POST", body=body, headers=headers, conn=api.connect(30))


def found(api, server, name, status):
    a = search(api, server, name)
    assert a.status == 200, (a.status, a.body)
    assert a.json["fetch_status"] == status, a.json
    return a.json


def absent(api, server, name):
    """The reason."""
    detail = search(api, server, name).problem(404)
    assert detail.startswith("Character not found and fetch failed: "), detail
    return detail.split(": ", 1)[1]


def rows(pg):
    return pg.query("SELECT server, name FROM characters ORDER BY id")


def row(pg, name):
    """All of it, as text."""
    return pg.value("SELECT to_jsonb(c) FROM characters AS c WHERE name = %s", (name,))


def age(pg, seconds=3600):
    """Everybody was fetched that long ago."""
    pg.script(f"UPDATE characters SET last_fetched_at = now() - interval '{seconds} s'")


def later(pg, redis_server):
    """An hour after that: what processes tell each other of a lookup, for two seconds, is gone, too."""
    age(pg)
    keys = redis_server.client().keys("aion2:source:lookup:*")
    if keys:
        redis_server.client().delete(*keys)


def tasks(redis_server, queue="celery\x06\x163"):
    return [json.loads(m) for m in redis_server.client().lrange(queue, 0, -1)]


# ----------------------------------------------------------------------------- what is answered


def test_fetched_then_cached(start, pg):
    api = start()
    doc = found(api, "Siel", "달그림자", "success")
    assert (doc["server"], doc["name"], doc["mode"], doc["state"]) == ("Siel", "달그림자", "sheet", "live")
    assert set(doc["stats_payload"]) == STATS | {"mode"}
    assert doc["power_score"] is doc["power_rank"] is doc["percentile"] is doc["last_scored_at"] is None
    again = found(api, "Siel", "달그림자", "cached")
    assert again == doc | {"fetch_status": "cached"}
    assert api.json(character_path("Siel", "달그림자")) == again
    age(pg, 61)
    later = found(api, "Siel", "달그림자", "success")
    assert later["last_fetched_at"] > doc["last_fetched_at"]
    assert {**later, "last_fetched_at": 0} == {**doc, "last_fetched_at": 0}
    assert rows(pg) == [("Siel", "달그림자")]


def test_a_fetch_that_finds_the_same_changes_nothing_but_its_time(start, pg):
    api = start()
    found(api, "Siel", "Same", "success")
    age(pg, 100)
    before = row(pg, "Same")
    found(api, "Siel", "Same", "success")
    after = row(pg, "Same")
    assert after.pop("last_fetched_at") > before.pop("last_fetched_at")
    assert after == before


def test_the_cooldown_is_a_setting(start, pg):
    api = start(FETCH_COOLDOWN_SECONDS=0)
    first = found(api, "Siel", "X", "success")
    assert found(api, "Siel", "X", "success")["last_fetched_at"] > first["last_fetched_at"]
    pg.script("UPDATE characters SET last_fetched_at = NULL")
    found(api, "Siel", "X", "success")


def test_a_time_to_come_is_no_cooldown(start, pg):
    """Written before a clock was set back, or imported."""
    api = start()
    first = found(api, "Siel", "X", "success")
    age(pg, -3600)
    assert found(api, "Siel", "X", "success")["last_fetched_at"] > first["last_fetched_at"]
    found(api, "Siel", "X", "cached")


def test_who_is_on_the_board_keeps_place_and_score(start, pg):
    add_characters(pg, [("Siel", f"P{i}", "Ranger", 1, i, SHEET) for i in range(5)])
    publish(pg)
    api = start()
    before = api.json(character_path("Siel", "P2"))
    doc = found(api, "Siel", "P2", "success")
    for kept in ("id", "power_score", "power_rank", "percentile", "last_scored_at", "ranks", "next", "snapshot"):
        assert doc[kept] == before[kept] is not None
    assert doc["stats_payload"] != before["stats_payload"]
    assert api.json(character_path("Siel", "P2")) == doc | {"fetch_status": "cached"}  # at once


def test_concurrent_searches_are_one_fetch(start, pg, redis_server, site):
    person = someone(site)
    server = server_of(person)
    api = start(**site.env())
    site.delay = 0.3
    with ThreadPoolExecutor(20) as pool:
        docs = list(pool.map(lambda _: search(api, server, person.name), range(20)))
    assert {a.status for a in docs} == {200}
    assert {a.json["fetch_status"] for a in docs} <= {"success", "cached"}
    assert {a.json["last_fetched_at"] for a in docs} == {docs[0].json["last_fetched_at"]}
    assert site.kinds() == ["search", "info"]
    assert len(tasks(redis_server)) == 1
    assert len(rows(pg)) == 1


def test_concurrent_searches_of_several_services_are_one_fetch(start, pg, redis_server, site):
    person = someone(site)
    apis = [start(**site.env()), start(**site.env())]
    site.delay = 0.3
    with ThreadPoolExecutor(10) as pool:
        docs = list(pool.map(lambda i: search(apis[i % 2], server_of(person), person.name), range(10)))
    assert {(a.status, a.json["fetch_status"]) for a in docs} <= {(200, "success"), (200, "cached")}
    assert site.kinds() == ["search", "info"]
    assert len(tasks(redis_server)) == len(rows(pg)) == 1


# ------------------------------------------------------------------------------ names of servers


@pytest.mark.parametrize("names, stored", [
    (["시엘", "Siel", "siel", "SIEL", " 시엘 "], "Siel"),
    (["네자칸", "Nezakan", "Nezekan", "NEZAKAN"], "Nezekan"),
    (["이스라펠", "Israphel"], "Israphel"),
])
def test_every_name_of_a_server_is_one_server(start, pg, names, stored):
    api = start()
    for i, name in enumerate(names):
        doc = found(api, name, "누구", "cached" if i else "success")
        assert doc["server"] == stored
    assert rows(pg) == [(stored, "누구")]
    for name in names:
        name = name.strip()
        assert api.json(character_path(name, "누구"))["server"] == stored
        many = api.ask("/api/characters/batch", method="POST", headers=JSON,
                       body=json.dumps({"characters": [{"server": name, "name": "누구"}]})).json
        assert many["characters"][0]["character"]["server"] == stored
    api.wait_run(publish(pg))
    for name in names:
        query = f"server={quote(name.strip())}"
        assert api.json(f"/api/ranking?{query}")["total"] == 1
        assert api.json(f"/api/ranking/top?{query}")["items"][0]["server"] == stored
        assert api.json(f"/api/ranking/cutoffs?{query}")["server"] == stored
        assert api.json(f"/api/ranking/around?{query}&name={quote('누구')}")["rank"] == 1
        assert api.json(f"/api/character/explain?{query}&name={quote('누구')}")["server"] == stored
        assert api.json(f"/api/character/history?{query}&name={quote('누구')}") == {
            "server": stored, "name": "누구", "days": []}
    harness.wait_for(lambda: api.get(f"/api/legions?server={quote(names[0])}").status == 200, what="the legions")
    for name in names:
        assert api.json(f"/api/legions?server={quote(name.strip())}")["server"] == stored


def test_servers_that_are_always_there_by_every_name(start, pg):
    """With and without a ranking, although nobody is on them."""
    api = start()
    names = ("Siel", "시엘", "siel", "Nezakan", "네자칸", "Nezekan", "지켈")

    def check(*paths):
        for path in paths:
            for name in names:
                answer = api.json(f"{path}?server={quote(name)}")
                assert answer.get("total", 0) == 0, (path, name)
            api.get(f"{path}?server=Nowhere").problem(404, "server")

    check("/api/ranking", "/api/ranking/top")
    add_characters(pg, [("Israphel", "one", "Ranger", 1, 7, SHEET)])
    api.wait_run(publish(pg))
    check("/api/ranking", "/api/ranking/top", "/api/ranking/cutoffs", "/api/ranking/distribution")


def test_live_boards_know_every_name_too(start, pg):
    api = start()
    found(api, "네자칸", "누구", "success")
    for name in ("네자칸", "Nezakan", "Nezekan"):
        assert api.json(f"/api/ranking?server={quote(name)}")["total"] == 1


def test_a_row_under_another_name_of_the_server_is_moved(start, pg):
    add_characters(pg, [("시엘", "옛날", "Ranger", 1, 7, SHEET)])
    age(pg)
    api = start()
    before = api.json(character_path("Siel", "옛날"))
    assert before["server"] == "시엘"
    doc = found(api, "Siel", "옛날", "success")
    assert (doc["id"], doc["server"]) == (before["id"], "Siel")
    assert rows(pg) == [("Siel", "옛날")]
    assert api.json(character_path("시엘", "옛날"))["server"] == "Siel"


def test_servers_that_nobody_knows(start, pg):
    add_characters(pg, [("우리 서버", "One", "Ranger", 1, 7, SHEET)])
    api = start()
    found(api, "우리 서버", "Two", "success")
    found(api, "Chantra", "Two", "success")
    for server in ("Nowhere", "all", "시"):
        search(api, server, "Two").problem(404, "server")
    assert len(rows(pg)) == 3


def test_the_official_site_knows_its_own_servers(start, pg, site):
    add_characters(pg, [("우리 서버", "One", "Ranger", 1, 7, SHEET)])
    age(pg)
    api = start(**site.env())
    before = row(pg, "One")
    found(api, "우리 서버", "One", "failed")
    assert row(pg, "One") == before
    search(api, "우리 서버", "Two").problem(404, "server")
    assert site.count() == 0


# --------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("body, param", [
    ({}, "server"),
    ({"server": "Siel"}, "name"),
    ({"name": "A"}, "server"),
    ({"server": "Siel", "name": ""}, "name"),
    ({"server": "Siel", "name": " \u3000\u00a0 "}, "name"),
    ({"server": "  ", "name": "A"}, "server"),
    ({"server": "Siel", "name": "a" * 65}, "name"),
    ({"server": "나" * 65, "name": "a"}, "server"),
    ({"server": "Siel", "name": "a\nb"}, "name"),
    ({"server": "Siel", "name": "a\u0000b"}, None),
    ({"server": "Siel", "name": 7}, "name"),
    ({"server": "Siel", "name": None}, "name"),
    ({"server": ["Siel"], "name": "A"}, "server"),
    ({"server": "Siel", "name": {"a": 1}}, "name"),
    ({"server": "Siel", "name": "A", "more": 1}, None),
    ('{"server": "Siel", "name": "A", "name": "B"}', "name"),
    ('{"server": "Siel", "name": "\\ud800"}', None),
    ('{"server": "Siel", "name": "A"} x', None),
    ('{"server": "Siel", "name": "A"', None),
    ('{"server": "Siel", "name": "A",}', None),
    (b'{"server": "Siel", "name": "\xff"}', None),
    (b'{"server": "Siel", "name": "\xed\xa0\x80"}', None),
    ("[" * 5000, None), ("[]", None), ("null", None), ("", None), ('"x"', None),
])
def test_bodies_that_are_refused(start, pg, body, param):
    api = start(SEARCH_RATE_PER_MINUTE=1)
    body = json.dumps(body) if isinstance(body, dict) else body
    body = body.encode() if isinstance(body, str) else body
    for _ in range(3):  # and they do not count as searches
        api.ask(PATH, method="POST", body=body, headers=JSON).problem(400, param)
    assert rows(pg) == []
    found(api, "Siel", "A", "success")


def test_other_ways_to_ask(start):
    api = start()
    assert api.get(PATH).status == 405
    assert api.ask(PATH, method="POST", body=b"server=Siel&name=A").status == 415
    assert api.ask(PATH, method="POST", body=b'{"server": "Siel", "name": "A"}' + b" " * 70000, headers=JSON).status == 413
    assert api.ask(PATH + "?server=Siel", method="POST", body=b"{}", headers=JSON).status == 400


@pytest.mark.parametrize("name", ["' OR 1=1 --", '"\\', "a" * 64, "나" * 64, "<script>", "%00", "{}", "$1", "x\u202ey", "😀"])
def test_names_of_every_kind(start, pg, name):
    api = start()
    assert found(api, "Siel", f"  {name}\u3000", "success")["name"] == name
    assert rows(pg) == [("Siel", name)]
    assert api.json(character_path("Siel", name))["name"] == name


# ------------------------------------------------------------------------------ the official site


def someone(site):
    return next(iter(site.people.values()))


def server_of(person):
    return person.profile["serverName"]


def test_a_profile_is_answered_and_its_sheet_asked_for(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    doc = found(api, server_of(person), person.name, "success")
    assert (doc["mode"], doc["level"], doc["state"]) == ("profile", int(person.row["level"]), "live")
    assert doc["legion"] == (person.row["legion"] or None)
    assert {k: v for k, v in doc["stats_payload"].items() if k != "mode"} == person.stats("profile")
    harness.wait_for(lambda: tasks(redis_server), 10, "the task")
    task, = tasks(redis_server)
    assert task["headers"]["task"] == "source.fetch_sheet"
    kwargs = json.loads(base64.b64decode(task["body"]))[1]
    assert kwargs == {"server": doc["server"], "name": person.name}
    later(pg, redis_server)
    found(api, server_of(person), person.name, "success")
    assert len(tasks(redis_server)) == 1  # it was asked for minutes ago


def test_a_profile_replaces_no_sheet(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    doc = found(api, server_of(person), person.name, "success")
    pg.script(f"UPDATE characters SET stats_payload = '{SHEET}', raw_payload = '[1]', level = 3, legion = 'Old'")
    later(pg, redis_server)
    doc = found(api, server_of(person), person.name, "success")
    assert doc["mode"] == "sheet" and doc["stats_payload"] == {"hp": 1, "mode": "sheet"}
    assert doc["level"] == int(person.row["level"]) and doc["legion"] == (person.row["legion"] or None)
    assert row(pg, person.name)["raw_payload"] == [1]
    pg.script(f"UPDATE characters SET stats_payload = '{PROFILE}'")
    later(pg, redis_server)
    assert found(api, server_of(person), person.name, "success")["stats_payload"]["hp"] != 1


BAD_DAYS = {
    "web page": source_site.html(),
    "forbidden": source_site.status(403),
    "too many": source_site.status(429, retry_after=7),
    "broken": source_site.status(500),
    "redirect": source_site.redirect(),
    "nothing": source_site.empty(),
    "cut": source_site.cut(),
    "half a letter": source_site.half_a_letter(),
    "hangs up": source_site.hang_up(),
    "no route": source_site.status(404, doc=source_site.GONE_ROUTE),
    "too large": source_site.huge(),
    "closed": source_site.drop(),
}


@pytest.mark.parametrize("kind", ["search", "info"])
@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_source_that_fails_takes_nothing_away(start, pg, redis_server, site, day, kind):
    person = someone(site)
    api = start(**site.env())
    stored = found(api, server_of(person), person.name, "success")
    later(pg, redis_server)
    before = row(pg, person.name)
    site.on(kind, BAD_DAYS[day])
    doc = found(api, server_of(person), person.name, "failed")
    site.wait_until_quiet()
    after = row(pg, person.name)
    for key in ("fetch_failed_at", "fetch_error"):
        before.pop(key), after.pop(key)
    assert after == before
    for key in ("stats_payload", "level", "power", "mode", "legion", "id", "class"):
        assert doc[key] == stored[key]
    # Nothing is remembered as "not found", and nothing of a character that is not stored is made up.
    assert absent(api, server_of(person), "Nobody")
    assert len(rows(pg)) == 1
    site.behave()
    redis_server.client().flushall()  # the rest is over
    assert found(api, server_of(person), person.name, "success")["state"] == "live"
    assert row(pg, person.name)["fetch_error"] is None


def test_who_is_gone_stays_as_stored(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    stored = found(api, server_of(person), person.name, "success")
    del site.people[person.server_id, person.name]
    later(pg, redis_server)
    doc = found(api, server_of(person), person.name, "failed")
    assert doc["state"] == "unavailable"
    assert doc["stats_payload"] == stored["stats_payload"]
    assert row(pg, person.name)["fetch_error"]
    assert api.json(character_path(server_of(person), person.name))["state"] == "unavailable"


def test_nobody_is_asked_twice_for_who_is_not_there(start, site):
    api = start(**site.env())
    reason = absent(api, "시엘", "없는사람")
    asked = site.count()
    assert asked == 1 and absent(api, "Siel", "없는사람") == reason
    assert site.count() == asked


def test_a_resting_source_answers_at_once(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    found(api, server_of(person), person.name, "success")
    later(pg, redis_server)
    site.on("*", source_site.status(429, retry_after=300))
    found(api, server_of(person), person.name, "failed")
    asked = site.count()
    before = row(pg, person.name)
    for _ in range(3):
        found(api, server_of(person), person.name, "failed")
        absent(api, "시엘", "Somebody")
    assert site.count() == asked
    assert row(pg, person.name) == before  # nobody was asked, so nothing new is known


def test_a_slow_source_keeps_nobody_waiting_for_long(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env(SOURCE_TIMEOUT_MS=60000))
    found(api, server_of(person), person.name, "success")
    later(pg, redis_server)
    site.delay = 11
    began = time.monotonic()
    found(api, server_of(person), person.name, "failed")
    assert absent(api, "시엘", "Slow")
    assert time.monotonic() - began < 40
    site.delay = 0
    # The search went on without who asked: what it found is stored.
    harness.wait_for(lambda: row(pg, person.name)["fetch_failed_at"] or
                     api.json(character_path(server_of(person), person.name))["state"] == "live", 30, "the end of it")


def test_from_a_search_to_the_board(start, pg, redis_server, spawn):
    site = source_site.SourceSite("tw")
    try:
        person = next(p for p in site.people.values() if p.row["mode"] == "sheet" and p.server_id == 1001)
        env = {"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url, **site.env()}
        api = start(**site.env())
        spawn("aion2-worker", env=env).wait_log("worker.registered")
        doc = found(api, "希埃爾", person.name, "success")
        assert (doc["mode"], doc["server"]) == ("profile", "Siel")
        path = character_path(doc["server"], person.name)
        harness.wait_for(lambda: api.json(path)["mode"] == "sheet", 60, "the sheet")
        assert {k: v for k, v in api.json(path)["stats_payload"].items() if k != "mode"} == person.stats("sheet")
        done = harness.run_program("aion2ctl", "call", "app.worker.calculate_power_and_rank_batch", "--wait", "60", env=env)
        assert done.returncode == 0
        harness.wait_for(lambda: api.json(path)["ranks"], 10, "the board")
        assert api.json(character_path("希埃爾", person.name))["ranks"]["all"]["rank"] == 1
        kept = found(api, "SIEL", person.name, "cached")
        assert kept["power_score"] == 1000  # nobody else is on the server
    finally:
        site.close()


# ------------------------------------------------------------------------------ what goes away


def test_without_redis_searching_goes_on(start, pg, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=3)
    found(api, "Siel", "A", "success")
    redis_server.kill()
    found(api, "Siel", "B", "success")
    found(api, "Siel", "C", "success")
    assert api.program.log().count('event=search.limits kept="by this process"') == 1
    found(api, "Siel", "D", "success")  # counted alone from the kill on
    assert search(api, "Siel", "E").problem(429)
    assert api.json(character_path("Siel", "A"))["name"] == "A"
    redis_server.start()

    def counted_there():
        search(api, "Siel", "A")
        return redis_server.client().keys("aion2:searches:*")

    harness.wait_for(counted_there, 20, "Redis counting again")
    assert 'event=search.limits kept="in Redis"' in api.program.log()


def test_without_redis_from_the_start(start, pg, spawn):
    api = Api(spawn, pg.url)  # REDIS_URL names nobody
    for i in range(10):
        a = search(api, "Siel", f"N{i}")
        assert (a.status, a.headers["ratelimit-remaining"]) == (200, str(9 - i))
    assert search(api, "Siel", "N10").status == 429
    assert api.json("/api/ranking/top")["items"][0]["server"] == "Siel"


def test_redis_dies_while_the_source_is_asked(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    site.delay = 0.5
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(search, api, server_of(person), person.name)
        harness.wait_for(lambda: site.count() == 1, 10, "the search")
        redis_server.kill()
        a = answer.result()
    assert (a.status, a.json["fetch_status"], a.json["mode"]) == (200, "success", "profile")
    api.program.wait_log("event=search.sheet")
    redis_server.start()


def test_redis_that_hangs_delays_but_does_not_stop(start, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=5)
    found(api, "Siel", "A", "success")
    redis_server.pause()
    try:
        began = time.monotonic()
        found(api, "Siel", "B", "success")
        assert time.monotonic() - began < 20
        began = time.monotonic()
        for _ in range(50):
            assert api.get("/api/servers").status == 200
        found(api, "Siel", "C", "success")
    finally:
        redis_server.resume()


def test_without_postgresql(start, pg, site):
    person = someone(site)
    api = start(**site.env())
    doc = found(api, server_of(person), person.name, "success")
    api.wait_run(publish(pg))
    harness.wait_for(lambda: "event=details.loaded" in api.program.log(), 20, "the details")
    pg.stop("immediate")
    api.program.wait_log("state=detached")
    asked = site.count()
    told = found(api, server_of(person), person.name, "cached")
    assert told["stats_payload"] == doc["stats_payload"]
    a = search(api, "시엘", "Nobody")
    assert a.problem(503) and int(a.headers["retry-after"]) > 0
    assert site.count() == asked  # nothing is fetched that cannot be stored
    pg.start()
    harness.wait_for(lambda: search(api, server_of(person), person.name).json["fetch_status"] == "cached", 20, "it")
    age(pg)
    harness.wait_for(lambda: search(api, server_of(person), person.name).json.get("fetch_status") == "success", 20, "it")


def test_postgresql_dies_while_the_source_is_asked(start, pg, redis_server, site):
    person = someone(site)
    api = start(**site.env())
    site.delay = 0.5
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(search, api, server_of(person), person.name)
        harness.wait_for(lambda: site.count() == 1, 10, "the search")
        pg.stop("immediate")
        assert answer.result().problem(503)
    assert tasks(redis_server) == []
    pg.start()
    site.delay = 0
    harness.wait_for(lambda: search(api, server_of(person), person.name).status == 200, 20, "PostgreSQL")
    assert len(rows(pg)) == 1


def test_old_data_is_told_while_postgresql_is_away(start, pg):
    add_characters(pg, [("Siel", "Old", "Ranger", 1, 7, SHEET)])
    publish(pg)
    api = start()
    harness.wait_for(lambda: "event=details.loaded" in api.program.log(), 20, "the details")
    pg.stop("immediate")
    api.program.wait_log("state=detached")
    for name in ("Siel", "시엘"):
        assert found(api, name, "Old", "failed")["stats_payload"] == json.loads(SHEET)


def test_a_stop_answers_what_is_open(start, pg, site):
    person = someone(site)
    api = start(**site.env())
    site.delay = 0.7
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(search, api, server_of(person), person.name)
        harness.wait_for(lambda: site.count() == 1, 10, "the search")
        assert api.program.stop() == 0
        assert answer.result().status == 200


def test_who_hangs_up_disturbs_nobody(start, pg, site):
    person = someone(site)
    api = start(**site.env())
    site.delay = 0.3
    body = json.dumps({"server": server_of(person), "name": person.name}).encode()
    for _ in range(10):
        with api.socket() as s:
            s.sendall(b"POST /api/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
    harness.wait_for(lambda: rows(pg), 10, "the row")
    assert search(api, server_of(person), person.name).status == 200
    assert site.kinds() == ["search", "info"]


# --------------------------------------------------------------------------------- limits


def limits(a):
    """Limit, remaining and reset of an answer."""
    assert a.headers["ratelimit-policy"] == f"{a.headers['ratelimit-limit']};w=60"
    return tuple(int(a.headers[f"ratelimit-{k}"]) for k in ("limit", "remaining", "reset"))


def test_the_eleventh_search_in_a_minute_is_refused(start, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=10)
    for i in range(10):
        a = search(api, "Siel", f"N{i}")
        assert a.status == 200
        limit, remaining, reset = limits(a)
        assert (limit, remaining) == (10, 9 - i) and 0 < reset <= 60
    for _ in range(3):
        a = search(api, "Siel", "N0")
        assert a.problem(429)
        assert limits(a)[:2] == (10, 0)
        assert a.headers["retry-after"] == a.headers["ratelimit-reset"]
        assert 0 < int(a.headers["retry-after"]) <= 60
    assert api.get(character_path("Siel", "N0")).status == 200  # only searches are counted
    key, = redis_server.client().keys("aion2:searches:*")
    assert key == b"aion2:searches:127.0.0.1"
    assert 0 < redis_server.client().pttl(key) <= 60000


def test_what_the_headers_say_comes_true(start, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=3)
    for _ in range(3):
        a = search(api, "Siel", "A")
    key, = redis_server.client().keys("aion2:searches:*")
    client = redis_server.client()
    # As if the first of them had been 58.8 s ago, and the others 30 s.
    now = int(client.time()[0] * 1000 + client.time()[1] / 1000)
    client.delete(key)
    client.rpush(key, now - 58800, now - 30000, now - 30000)
    a = search(api, "Siel", "A")
    assert a.status == 429 and int(a.headers["retry-after"]) in (1, 2)
    deadline = time.monotonic() + int(a.headers["retry-after"])
    harness.wait_for(lambda: time.monotonic() >= deadline, 10, "the time")
    a = search(api, "Siel", "A")
    assert a.status == 200
    limit, remaining, reset = limits(a)
    assert (limit, remaining) == (3, 0) and 25 <= reset <= 30


def test_errors_tell_of_the_limit_too(start, site):
    api = start(**site.env(SEARCH_RATE_PER_MINUTE=2))
    a = search(api, "시엘", "없다")
    assert a.status == 404 and limits(a)[:2] == (2, 1)
    a = search(api, "Nowhere", "X")
    assert a.status == 404 and limits(a)[:2] == (2, 0)


def test_no_limit(start):
    api = start()
    for i in range(30):
        a = search(api, "Siel", "A")
        assert a.status == 200 and not any(k.startswith("ratelimit") for k in a.headers)


def test_services_of_one_deployment_count_together(start):
    one, two = start(SEARCH_RATE_PER_MINUTE=4), start(SEARCH_RATE_PER_MINUTE=4)
    left = [limits(search(api, "Siel", "A"))[1] for api in (one, two, one, two)]
    assert left == [3, 2, 1, 0]
    assert search(one, "Siel", "A").status == search(two, "Siel", "A").status == 429


def clients(redis_server):
    return {k.decode().removeprefix("aion2:searches:") for k in redis_server.client().keys("aion2:searches:*")}


def test_behind_no_proxy_nobody_is_believed(start, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=2)
    for i in range(4):
        a = search(api, "Siel", "A", X_Forwarded_For=f"9.9.9.{i}", Forwarded=f"for=9.9.9.{i}", X_Real_Ip=f"9.9.9.{i}")
        assert a.status == (200 if i < 2 else 429)
    assert clients(redis_server) == {"127.0.0.1"}


@pytest.mark.parametrize("value, client", [
    ("9.9.9.9", "9.9.9.9"),
    ("1.2.3.4, 9.9.9.9", "9.9.9.9"),  # what the client wrote itself is on the left
    ("9.9.9.9, 10.1.2.3", "9.9.9.9"),
    ("1.2.3.4, 9.9.9.9, 10.1.2.3, 127.0.0.1", "9.9.9.9"),
    ("9.9.9.9:4711", "9.9.9.9"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("[2001:db8:1:2:aaaa::1]:443", "2001:db8:1:2::/64"),
    ("::ffff:9.9.9.9", "9.9.9.9"),
    ("10.1.2.3", "10.1.2.3"),
    ("", "127.0.0.1"),
    ("unknown", "127.0.0.1"),
    ("9.9.9.9, garbage", "127.0.0.1"),
    ("9.9.9.9, " + "x" * 2000, "127.0.0.1"),
    ("9.9.9.9," * 500, "127.0.0.1"),
    (", ".join(["1.2.3.4"] * 500), "1.2.3.4"),
])
def test_behind_a_proxy_the_client_is_found(start, redis_server, value, client):
    api = start(SEARCH_RATE_PER_MINUTE=5, TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8")
    assert search(api, "Siel", "A", X_Forwarded_For=value).status == 200
    assert clients(redis_server) == {client}


def test_several_headers_are_one_list(start, redis_server):
    api = start(SEARCH_RATE_PER_MINUTE=5, TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8")
    body = b'{"server": "Siel", "name": "A"}'
    answer = api.raw(b"POST /api/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     b"X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 9.9.9.9\r\nX-FORWARDED-FOR: 10.0.0.1\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert clients(redis_server) == {"9.9.9.9"}


def test_the_log_names_the_client(start):
    api = start(TRUSTED_PROXIES="127.0.0.1", ACCESS_LOG="all")
    search(api, "Siel", "A", X_Forwarded_For="2001:db8:1:2:3::4")
    api.get("/health", X_Forwarded_For="1.2.3.4, 9.9.9.9")
    for client in ("2001:db8:1:2:3::4", "9.9.9.9"):
        api.program.wait_log(f'client="{client}"')


def test_clients_do_not_share_a_limit(start):
    api = start(SEARCH_RATE_PER_MINUTE=1, TRUSTED_PROXIES="127.0.0.0/8")
    for i in range(5):
        assert search(api, "Siel", "A", X_Forwarded_For=f"9.9.9.{i}").status == 200
        assert search(api, "Siel", "A", X_Forwarded_For=f"9.9.9.{i}").status == 429
    assert search(api, "Siel", "A", X_Forwarded_For="2001:db8::1").status == 200
    assert search(api, "Siel", "A", X_Forwarded_For="2001:db8::2").status == 429  # one household


def test_wrong_settings_are_refused(pg):
    for settings in ({"TRUSTED_PROXIES": "10.0.0.1/8"}, {"TRUSTED_PROXIES": "proxy"}, {"REDIS_URL": "http://x"},
                     {"SEARCH_RATE_PER_MINUTE": "1001"}, {"FETCH_COOLDOWN_SECONDS": "-1"}, {"SOURCE_ADAPTER": "plaync"}):
        done = harness.run_program("aion2-api", "--check-config", env={"DATABASE_URL": pg.url} | settings)
        assert done.returncode == 64, settings
