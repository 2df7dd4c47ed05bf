"""source.fetch_sheet and source.refresh_stalest: what they store, what they leave, whom they pick."""

import json
import os
import re
import signal

import pytest

import harness
import source_site
from board import publish
from jobs import SEP, Jobs, worker_env

FETCH, REFRESH = "source.fetch_sheet", "source.refresh_stalest"
EIGHT = ("attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense", "damage_reduction", "hp")
OLD_SHEET = {"hp": 5, "attack": 4, "mode": "sheet"}


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def start(spawn, redis_server, pg):
    """start(SETTING=...): a worker of two children."""

    def start_worker(**settings):
        w = spawn("aion2-worker", env=worker_env(redis_server, pg.url, **{k: str(v) for k, v in settings.items()}))
        w.wait_log("event=worker.registered")
        return w

    return start_worker


@pytest.fixture
def site(request):
    made = []

    def make(*args, **kwargs):
        made.append(source_site.SourceSite(*args, **kwargs))
        return made[-1]

    yield make
    for s in made:
        s.close()


def fetch(jobs, server, name, **members):
    return jobs.push(FETCH, kwargs={"server": server, "name": name}, **members)


def rows(pg, columns="*", where="true"):
    """Rows of characters, as dicts."""
    return [r[0] for r in pg.query(f"SELECT to_jsonb(c) FROM (SELECT {columns} FROM characters WHERE {where}"
                                   " ORDER BY id) AS c")]


def row(pg, name):
    found = rows(pg, where="name = '" + name.replace("'", "''") + "'")
    return found[0] if found else None


def add(pg, server, name, stats=None, **columns):
    """A row of long ago."""
    conn = pg.connect()
    values = {"server": server, "name": name, "stats_payload": json.dumps(stats) if stats else None,
              "last_fetched_at": "2025-01-01 00:00:00+00", **columns}
    with conn.cursor() as cur:
        cur.execute(f"INSERT INTO characters ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})"
                    " RETURNING id", tuple(values.values()))
        made = cur.fetchone()[0]
    conn.close()
    return made


def server_of(site, person):
    """The English name, as it is stored."""
    table = (harness.REPO / "common/realm_table.c").read_text(encoding="utf-8")
    return re.search(rf'\{{"{site.region}", {person.server_id}, "([^"]+)"', table)[1]


def error_of(doc):
    """The program's own types are RuntimeErrors for Celery, which must know the class."""
    assert doc["result"]["exc_type"] == "RuntimeError", doc
    return doc["result"]["exc_message"][0].split(":")[0]


def next_try(jobs, task_id):
    """What the document says of the next attempt, once there is one."""

    def retried():
        doc = jobs.document(task_id)
        return doc if doc and doc["status"] == "RETRY" else None

    return harness.wait_for(retried, 20, "the first attempt")


# ------------------------------------------------------------------------------- the made-up source


def test_a_sheet_is_stored(start, jobs, pg):
    start()
    doc = jobs.ended(fetch(jobs, "Siel", "달그림자"))
    assert doc["status"] == "SUCCESS"
    c = row(pg, "달그림자")
    assert doc["result"] == {"status": "success", "server": "Siel", "name": "달그림자", "id": c["id"], "mode": "sheet"}
    assert set(c["stats_payload"]) == {*EIGHT, "mode"} and c["stats_payload"]["mode"] == "sheet"
    assert c["last_fetched_at"] and c["fetch_failed_at"] is None and c["level"] > 0 and c["power"] > 0


def test_a_sheet_replaces_a_profile_and_an_older_sheet(start, jobs, pg):
    start()
    add(pg, "Siel", "P", {"hp": 5, "mode": "profile"}, fetch_failed_at="2025-02-01", fetch_error="x")
    add(pg, "Siel", "S", OLD_SHEET, legion="Moon")
    for name in "PS":
        assert jobs.ended(fetch(jobs, "Siel", name))["status"] == "SUCCESS"
        c = row(pg, name)
        assert c["stats_payload"]["mode"] == "sheet" and c["stats_payload"]["hp"] > 5
        assert c["fetch_failed_at"] is None and c["fetch_error"] is None


def test_servers_in_any_language_are_one(start, jobs, pg):
    start()
    for server in ("Siel", "시엘"):
        assert jobs.ended(fetch(jobs, server, "one"))["result"]["server"] == "Siel"
    assert len(rows(pg)) == 1


@pytest.mark.parametrize("kwargs", [
    {}, {"server": "Siel"}, {"name": "x"}, {"server": "Siel", "name": 7}, {"server": "", "name": "x"},
    {"server": "Siel", "name": "y" * 65}, {"server": "Siel", "name": "a\nb"}, {"server": None, "name": "x"},
])
def test_wrong_arguments_fail_for_good(start, jobs, pg, kwargs):
    start()
    doc = jobs.ended(jobs.push(FETCH, kwargs=kwargs))
    assert doc["status"] == "FAILURE" and doc["result"]["exc_type"] == "ValueError"
    assert rows(pg) == [] and jobs.counter("retried") == 0


def test_nobody_of_that_name(start, jobs, pg):
    start()
    add(pg, "Siel", "NotFoundAnyMore", OLD_SHEET)
    before = row(pg, "NotFoundAnyMore")
    for name in ("NotFoundAnyMore", "NotFoundAtAll"):
        doc = jobs.ended(fetch(jobs, "Siel", name))
        assert doc["status"] == "SUCCESS" and doc["result"]["status"] == "not_found" and doc["result"]["reason"]
    after = row(pg, "NotFoundAnyMore")
    assert after["fetch_failed_at"] and "no such character" in after["fetch_error"]
    marks = {"fetch_failed_at": None, "fetch_error": None}
    assert after | marks == before
    assert row(pg, "NotFoundAtAll") is None


@pytest.mark.parametrize("name, error, wait_s", [("RestingNow", "SourceResting", 60), ("CrowdedNow", "SourceCrowded", 5)])
def test_a_source_that_rests_is_left_alone_until_it_says(start, jobs, pg, name, error, wait_s):
    """The table of retries says 0 seconds here; the character is not to blame."""
    start()
    add(pg, "Siel", name, OLD_SHEET)
    before = row(pg, name)
    doc = next_try(jobs, fetch(jobs, "Siel", name))
    assert error_of(doc) == error and doc["retry"]["waits_s"][0] == wait_s
    assert jobs.redis.zcard("aion2:delayed") == 1
    assert row(pg, name) == before


def test_a_source_that_answers_nonsense_is_asked_again_then_given_up(start, jobs, pg):
    start()
    add(pg, "Siel", "UnavailableNow", OLD_SHEET)
    before = row(pg, "UnavailableNow")
    doc = jobs.ended(fetch(jobs, "Siel", "UnavailableNow"), 30)
    assert doc["status"] == "FAILURE" and error_of(doc) == "SourceUnavailable"
    after = row(pg, "UnavailableNow")
    assert "status 500" in after["fetch_error"]
    assert after | {"fetch_failed_at": None, "fetch_error": None} == before
    jobs.quiet()
    assert jobs.counter("retried") == 3 and jobs.counter("dead") == 1


# -------------------------------------------------------------------------------------- the site


@pytest.mark.parametrize("region", ["tw", "kr"])
def test_every_recorded_character(start, jobs, pg, site, region):
    """The eight stats of the table, exactly; class, level, power and legion too."""
    s = site(region)
    start(**s.env())
    people = [p for p in s.people.values() if "equipment" in p.doc and p.row.get("sheet_attack")]
    ids = {p.name: fetch(jobs, server_of(s, p), p.name) for p in people}
    for p in people:
        doc = jobs.ended(ids[p.name], 60)
        assert doc["status"] == "SUCCESS", doc
        c = row(pg, p.name)
        assert c["stats_payload"] == {**p.stats("sheet"), "mode": "sheet"}
        assert c["level"] == int(p.row["level"]) and c["item_level"] == int(p.row["item_level"])
        assert c["power"] == (int(p.row["combat_power"]) if p.row["combat_power"] not in ("", "0") else None)
        assert c["source_id"] == p.id and c["raw_payload"]["source"] == "plaync"
    assert s.most_at_once <= 1  # two children, and still one after the other
    assert people


@pytest.fixture
def one(site):
    """A site, one of its people with a sheet."""
    s = site("tw")
    s.one = next(p for p in s.people.values() if p.row.get("sheet_attack") and "equipment" in p.doc)
    return s


def fetch_one(jobs, s, **members):
    return fetch(jobs, server_of(s, s.one), s.one.name, **members)


def test_what_is_unchanged_is_not_asked_for_again(start, jobs, pg, one):
    start(**one.env())
    assert jobs.ended(fetch_one(jobs, one), 30)["status"] == "SUCCESS"
    first = row(pg, one.one.name)
    asked = one.count("item")
    one.forget()
    assert jobs.ended(fetch_one(jobs, one), 30)["status"] == "SUCCESS"
    assert one.count("item") < asked / 2 and one.count("info") == 1  # but for items that add nothing
    assert row(pg, one.one.name)["stats_payload"] == first["stats_payload"]


@pytest.mark.parametrize("kind", ["info", "equipment", "item", "board"])
def test_one_part_that_fails_leaves_a_sheet_as_it_was(start, jobs, pg, one, kind):
    start(**one.env(), RETRY_BASE_SECONDS=3600)
    assert jobs.ended(fetch_one(jobs, one), 30)["status"] == "SUCCESS"
    pg.query("UPDATE characters SET stats_payload = %s, raw_payload = NULL, level = 7", (json.dumps(OLD_SHEET),))
    before = row(pg, one.one.name)
    one.on(kind, source_site.cut(), times=1)
    doc = next_try(jobs, fetch_one(jobs, one))
    assert error_of(doc) == "SourceUnavailable"
    after = row(pg, one.one.name)
    assert after["fetch_failed_at"] and after["fetch_error"]
    assert after | {"fetch_failed_at": None, "fetch_error": None} == before


@pytest.mark.parametrize("kind", ["item", "board"])
def test_who_has_no_sheet_is_stored_as_far_as_it_was_read(start, jobs, pg, one, kind):
    start(**one.env(), RETRY_BASE_SECONDS=3600)
    one.on(kind, source_site.cut(), times=1)
    next_try(jobs, fetch_one(jobs, one))
    c = row(pg, one.one.name)
    assert c["stats_payload"] == {**one.one.stats("profile"), "mode": "profile"}
    assert c["fetch_error"] and c["level"] == int(one.one.row["level"])
    asked = one.count("item")
    one.forget()
    assert jobs.ended(fetch_one(jobs, one), 30)["status"] == "SUCCESS"
    c = row(pg, one.one.name)
    assert c["stats_payload"] == {**one.one.stats("sheet"), "mode": "sheet"}
    assert c["fetch_failed_at"] is None
    if kind == "board":
        assert one.count("item") < asked / 2  # what was read already is not read again


@pytest.mark.parametrize("action", [source_site.status(403), source_site.status(429, retry_after=100),
                                    source_site.html(), source_site.redirect()])
def test_a_site_that_wants_quiet_gets_it(start, jobs, pg, one, action):
    start(**one.env())
    one.on("item", action, times=1)
    doc = next_try(jobs, fetch_one(jobs, one))
    assert error_of(doc) == "SourceResting" and 30 < doc["retry"]["waits_s"][0] <= 1000
    one.forget()
    doc = next_try(jobs, fetch_one(jobs, one))
    assert error_of(doc) == "SourceResting"
    assert one.count() == 0  # and nobody else asks either


def test_a_child_that_dies_in_the_middle_leaves_the_row(start, jobs, pg, one):
    w = start(**one.env(), WORKER_CONCURRENCY=1)
    add(pg, "Siel", "other")
    assert jobs.ended(fetch_one(jobs, one), 30)["status"] == "SUCCESS"
    pg.query("UPDATE characters SET raw_payload = NULL")
    before = rows(pg)
    one.forget()
    one.delay = 0.05
    task = fetch_one(jobs, one)
    harness.wait_for(lambda: one.count("item") > 2, 20, "the items")
    assert rows(pg) == before
    for pid in harness.children_of(w.pid):
        os.kill(pid, signal.SIGKILL)
    assert jobs.ended(task, 60)["status"] == "SUCCESS"  # it is put back once
    assert row(pg, one.one.name)["stats_payload"]["mode"] == "sheet"


@pytest.mark.parametrize("point", ["sheet.answered", "sheet.store"])
def test_a_child_that_dies_before_it_stores_leaves_the_row(start, jobs, pg, point):
    start(CRASH_AT=point)
    add(pg, "Siel", "달그림자", OLD_SHEET)
    before = rows(pg)
    doc = jobs.ended(fetch(jobs, "Siel", "달그림자"), 30)
    assert doc["status"] == "FAILURE" and doc["result"]["exc_type"] == "WorkerLostError"
    assert rows(pg) == before


def test_a_soft_limit_ends_it(start, jobs, pg, one):
    """Within the time in which a request to a slow site has no answer yet."""
    w = start(**one.env(), SOURCE_TIMEOUT_MS=60000)
    add(pg, "Siel", "other")
    before = rows(pg)
    children = harness.children_of(w.pid)
    one.on("equipment", source_site.drip(0.5))
    doc = jobs.ended(fetch_one(jobs, one, timelimit=[None, 1]), 30)
    assert doc["status"] == "FAILURE" and doc["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert rows(pg) == before and harness.children_of(w.pid) == children
    harness.wait_for(lambda: not jobs.redis.hexists("aion2:source", "flight_id"), 10, "the gate being told")


def test_postgresql_away_is_tried_again(start, jobs, pg):
    start(RETRY_BASE_SECONDS=3600)
    pg.stop("immediate")
    doc = next_try(jobs, fetch(jobs, "Siel", "달그림자"))
    assert error_of(doc) == "OperationalError"
    pg.start()


# -------------------------------------------------------------------------------------- the stalest


@pytest.fixture
def board(pg):
    """Two servers of 6; rank 1 was fetched last, rank 6 never."""
    for server in ("Siel", "Zikel"):
        for i in range(1, 7):
            at = None if i == 6 else f"2025-01-{20 - i:02} 00:00:00+00"
            add(pg, server, f"{server}{i}", {"hp": 1}, last_fetched_at=at)
    publish(pg)


def queued(jobs):
    headers = [json.loads(t)["headers"] for t in jobs.redis.lrange("celery" + SEP + "9", 0, -1)]
    assert all(h["expires"] for h in headers)
    return [h["kwargsrepr"] for h in reversed(headers)]


def refresh(pg, redis_server, task=REFRESH, **settings):
    done = harness.run_program("aion2-worker", "--run", task, env={
        "DATABASE_URL": pg.url, "REDIS_URL": redis_server.url, **{k: str(v) for k, v in settings.items()}})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def names(texts):
    return [t.split("'name': '")[1].split("'")[0] for t in texts]


def test_the_stalest_of_the_top_of_each_board(pg, redis_server, jobs, board):
    assert refresh(pg, redis_server, SOURCE_REFRESH_TOP=4, SOURCE_REFRESH_COUNT=5) == {
        "status": "success", "sent": 5, "lately": 0}
    assert names(queued(jobs)) == ["Siel4", "Zikel4", "Siel3", "Zikel3", "Siel2"]
    again = refresh(pg, redis_server, SOURCE_REFRESH_TOP=4, SOURCE_REFRESH_COUNT=6)
    assert again == {"status": "success", "sent": 1, "lately": 5}  # the others wait already


def test_who_was_asked_for_lately_is_left_alone(pg, redis_server, jobs, board):
    """Also those of whom nothing came: one that always fails does not keep the others from it."""
    pg.query("UPDATE characters SET fetch_failed_at = now() WHERE name LIKE '%4'")
    pg.query("UPDATE characters SET last_fetched_at = now() - interval '90 s' WHERE name LIKE '%3'")
    sent = refresh(pg, redis_server, SOURCE_REFRESH_TOP=4, SOURCE_REFRESH_COUNT=100, SOURCE_REFRESH_AGE=80)
    assert sent["sent"] == 6
    assert names(queued(jobs)) == ["Siel2", "Zikel2", "Siel1", "Zikel1", "Siel3", "Zikel3"]
    jobs.redis.flushall()
    assert refresh(pg, redis_server, SOURCE_REFRESH_TOP=4, SOURCE_REFRESH_COUNT=100,
                   SOURCE_REFRESH_AGE=100)["sent"] == 4


def test_never_fetched_is_the_stalest(pg, redis_server, jobs, board):
    refresh(pg, redis_server, SOURCE_REFRESH_COUNT=2)
    assert names(queued(jobs)) == ["Siel6", "Zikel6"]


@pytest.mark.parametrize("settings", [{"SOURCE_REFRESH_COUNT": 0}, {"SOURCE_REFRESH_TOP": 0}])
def test_nobody_is_picked(pg, redis_server, jobs, board, settings):
    assert refresh(pg, redis_server, **settings)["sent"] == 0 and queued(jobs) == []


def test_servers_that_the_source_does_not_have_keep_nobody_waiting(pg, redis_server, jobs, board):
    add(pg, "Elsewhere", "Never", {"hp": 1})
    publish(pg)
    site_of_korea = {"SOURCE_ADAPTER": "plaync", "SOURCE_CONTACT": "a@b.c", "SOURCE_REFRESH_COUNT": 100}
    assert refresh(pg, redis_server, **site_of_korea)["sent"] == 12
    assert "Never" not in names(queued(jobs))
    jobs.redis.flushall()
    assert refresh(pg, redis_server, SOURCE_REFRESH_COUNT=100)["sent"] == 13  # made-up characters are anywhere


def test_kwargs_win(start, jobs, pg, board):
    start()
    doc = jobs.ended(jobs.push(REFRESH, kwargs={"top": 2, "count": 3, "age_s": 0}))
    assert doc["result"]["sent"] == 3
    harness.wait_for(lambda: len(rows(pg, where="stats_payload->>'mode' = 'sheet'")) == 3, 20, "the sheets")
    assert {c["name"] for c in rows(pg, where="stats_payload->>'mode' = 'sheet'")} == {"Siel2", "Zikel2", "Siel1"}
    for wrong in ({"top": -1}, {"count": "x"}, {"what": 1}):
        assert jobs.ended(jobs.push(REFRESH, kwargs=wrong))["status"] == "FAILURE"


def test_off_until_it_is_scheduled(start, spawn, jobs, pg, redis_server, board):
    """There is no schedule for it until somebody makes one."""
    env = {"REDIS_URL": redis_server.url}
    start()
    spawn("aion2-beat", env={**env, "BATCH_INTERVAL": "3600"}).wait_log("event=beat.")
    listed = harness.run_program("aion2ctl", "schedule", "list", "--json", env=env)
    assert listed.returncode == 0 and REFRESH not in listed.stdout and "batch" in listed.stdout
    assert harness.run_program("aion2ctl", "schedule", "set", "refresh", "--task", REFRESH, "--every", "1s",
                               "--kwargs", '{"age_s": 3600}', env=env).returncode == 0
    harness.wait_for(lambda: len(rows(pg, where="stats_payload->>'mode' = 'sheet'")) == 12, 60, "everybody")
