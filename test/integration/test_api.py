"""aion2-api: every endpoint against real servers, its errors and its caching."""

import gzip
import json
import threading
import time

import pytest

import harness
from board import SIX, Api, add_characters, character_path, publish

ITEM_KEYS = ["rank", "name", "server", "class", "level", "power", "power_score", "power_rank",
             "rank_change"]


@pytest.fixture
def api(pg, spawn):
    """Six characters, scored in the order of SIX, and the service."""
    add_characters(pg, SIX)
    run = publish(pg)
    api = Api(spawn, pg.url)
    api.run = run
    return api


def names(doc):
    return [i["name"] for i in doc["items"]]


# ------------------------------------------------------------------------------------- boards


def test_top_of_every_server(api):
    doc = api.json("/api/ranking/top")
    assert list(doc) == ["items", "generated_at", "is_snapshot", "total", "snapshot"]
    assert names(doc) == [c[1] for c in SIX]
    assert all(list(i) == ITEM_KEYS for i in doc["items"])
    assert [i["rank"] for i in doc["items"]] == [1, 2, 3, 4, 5, 6]
    assert doc["total"] == 6 and doc["is_snapshot"] is True
    snapshot = doc["snapshot"]
    assert list(snapshot) == ["id", "generated_at", "stale", "next_expected_at"]
    assert (snapshot["id"], snapshot["generated_at"]) == (api.run, doc["generated_at"])
    assert snapshot["stale"] is False and snapshot["next_expected_at"] > snapshot["generated_at"]
    first = doc["items"][0]
    assert (first["server"], first["class"], first["level"]) == ("Siel", "Warrior", 38)
    assert (first["power"], first["power_score"], first["power_rank"]) == (426124, 999, "B2")
    assert doc["items"][2]["power"] is None


@pytest.mark.parametrize("path", ["/api/ranking/top?server=Zikel", "/api/ranking?server=Zikel"])
def test_ranks_of_a_server_board_are_those_of_the_server(api, path):
    doc = api.json(path)
    assert [(i["rank"], i["name"]) for i in doc["items"]] == [(1, "나무꾼"), (2, "Last")]
    assert doc["total"] == 2


@pytest.mark.parametrize("path", ["?server=", "?server=all", "?limit=100", "?&&"])
def test_ways_to_ask_for_the_board_over_everybody(api, path):
    assert names(api.json("/api/ranking/top" + path)) == [c[1] for c in SIX]


def test_limit_bounds_the_items(api):
    doc = api.json("/api/ranking/top?limit=2")
    assert len(doc["items"]) == 2 and doc["total"] == 2


def test_pages(api):
    doc = api.json("/api/ranking?page=2&page_size=4")
    assert list(doc) == [
        "items", "page", "page_size", "total", "total_pages", "generated_at", "is_snapshot",
        "snapshot", "next_cursor",
    ]
    assert [(i["rank"], i["name"]) for i in doc["items"]] == [(5, SIX[4][1]), (6, SIX[5][1])]
    assert (doc["page"], doc["page_size"], doc["total"], doc["total_pages"]) == (2, 4, 6, 2)
    assert api.json("/api/ranking")["page_size"] == 20


@pytest.mark.parametrize("page", ["3", "1000000000"])
def test_a_page_past_the_end_is_empty(api, page):
    doc = api.json(f"/api/ranking?page={page}&page_size=4")
    assert doc["items"] == [] and doc["total"] == 6 and doc["page"] == int(page)


def test_a_known_server_without_entries_has_an_empty_board(api, pg):
    assert api.json("/api/ranking?server=Israphel")["items"] == []
    add_characters(pg, [("Newborn", "First", "Cleric", 1, 1, None)])
    doc = api.json("/api/ranking?server=Newborn")
    assert doc["items"] == [] and doc["total"] == 0 and doc["total_pages"] == 0


@pytest.mark.parametrize("path", ["/api/ranking?server=Nowhere", "/api/ranking/top?server=Sie"])
def test_an_unknown_server_is_404(api, path):
    assert api.get(path).problem(404, "server") == "There is no such server."


def test_stale_entries_are_marked(api, pg):
    pg.script(f"UPDATE ranking_entries_{api.run} SET traits = traits | 1 WHERE name = 'Last'")
    pg.script("UPDATE ranking_state SET generated_at = clock_timestamp();"
              "NOTIFY aion2_ranking, 'again'")

    def marked():
        items = api.json("/api/ranking/top")["items"]
        assert all("stale" not in i for i in items[:5])
        return list(items[5]) == ITEM_KEYS[:-1] + ["stale", "rank_change"] and items[5]["stale"] is True

    harness.wait_for(marked, 10, "the marked entry")


def test_before_the_first_batch_the_live_rows_are_shown(pg, spawn):
    ids = add_characters(pg, SIX)
    api = Api(spawn, pg.url)
    doc = api.json("/api/ranking/top")
    # By power (unknown last), level, id.
    assert names(doc) == [SIX[i][1] for i in (3, 1, 0, 4, 2, 5)]
    assert [i["rank"] for i in doc["items"]] == [1, 2, 3, 4, 5, 6]
    assert all(list(i) == ITEM_KEYS for i in doc["items"])
    assert doc["items"][0]["power_score"] is None and doc["items"][0]["power_rank"] is None
    assert doc["is_snapshot"] is False and doc["snapshot"] is None and doc["total"] == 6
    page = api.json("/api/ranking?page=2&page_size=4")
    assert [i["rank"] for i in page["items"]] == [5, 6]
    assert (page["total"], page["total_pages"]) == (6, 2)
    past = api.json("/api/ranking?server=Zikel&page=9")
    assert past["items"] == [] and past["total"] == 2
    assert api.json("/api/ranking?server=Chantra")["items"] == []
    api.get("/api/ranking?server=Nowhere").problem(404, "server")
    a = api.get("/api/ranking/top")
    assert api.get("/api/ranking/top", If_None_Match=a.headers["etag"]).status == 304
    assert len(ids) == 6
    run = publish(pg)
    api.wait_run(run)


# ------------------------------------------------------------------------ characters and lists


def test_a_character(api):
    doc = api.json(character_path("Siel", "나무꾼"))
    assert list(doc) == [
        "id", "name", "server", "class", "level", "power", "power_score", "power_rank",
        "percentile", "last_fetched_at", "last_scored_at", "stats_payload", "fetch_status",
        "state", "mode", "item_level", "legion", "ranks", "rank_change", "next", "snapshot",
    ]
    assert doc["last_fetched_at"] == "2025-12-31T21:36:00.742745Z"
    assert doc["stats_payload"] == {"hp": 13474, "attack": 409}
    assert (doc["power_score"], doc["power_rank"], doc["fetch_status"]) == (999, "B2", "cached")
    assert b'"percentile":50.0,' in api.get(character_path("Siel", "나무꾼")).body


@pytest.mark.parametrize("character", SIX, ids=lambda c: c[1])
def test_names_of_every_kind_are_found(api, character):
    server, name, cls, level, power, stats = character
    doc = api.json(character_path(server, name))
    assert (doc["server"], doc["name"], doc["class"]) == (server, name, cls)
    assert (doc["level"], doc["power"]) == (level, power)
    assert doc["stats_payload"] == (json.loads(stats) if stats else None)


def test_an_unscored_character_has_no_scores(api, pg):
    add_characters(pg, [("Siel", "Fresh", "Cleric", 1, 5, None)])
    doc = api.json(character_path("Siel", "Fresh"))
    for key in ("power_score", "power_rank", "percentile", "last_scored_at", "stats_payload"):
        assert doc[key] is None


def test_a_huge_payload_is_reduced_to_what_is_scored(api, pg):
    numbers = ", ".join(f'"k{i}": 1e100000' for i in range(500))
    add_characters(pg, [("Siel", "Huge", "Cleric", 1, 5, '{"hp": 7, ' + numbers + "}")])
    a = api.get(character_path("Siel", "Huge"))
    assert a.status == 200 and len(a.body) < 100_000
    assert a.json["stats_payload"]["hp"] == 7


def test_nobody_of_that_name(api):
    a = api.get(character_path("Siel", "Nobody"))
    assert a.problem(404) == "Character not found"
    assert api.get(character_path("Nowhere", "나무꾼")).problem(404) == "Character not found"


def test_updates_are_the_latest_changes_first(api, pg):
    pg.script("UPDATE characters SET updated_at = now() + interval '1 hour' WHERE name = 'Last'")
    doc = api.json("/api/updates?limit=2")
    assert doc["total"] == 2 and doc["updates"][0]["character_name"] == "Last"
    assert list(doc["updates"][0]) == [
        "character_name", "server", "class", "level", "power", "updated_at", "last_fetched_at",
    ]
    assert doc["updates"][0]["power"] is None
    assert doc["updates"][0]["last_fetched_at"] == "2025-12-31T21:36:00.742745Z"
    assert api.json("/api/updates")["total"] == 6


def test_servers_start_with_the_five_and_follow_the_characters(api, pg):
    five = ["Siel", "Israphel", "Nezakan", "Zikel", "Chantra"]
    assert {k: v for k, v in api.json("/api/servers").items() if k in ("servers", "default")} == {"servers": five + ["새 서버"], "default": "Siel"}
    add_characters(pg, [("Another", "One", "Cleric", 1, 1, None)])
    harness.wait_for(
        lambda: api.json("/api/servers")["servers"] == five + ["Another", "새 서버"], 10,
        "the new server in the list",
    )


def test_health(api):
    assert api.json("/health") == {"status": "ok"}
    assert harness.run_program("aion2-api", "--healthcheck", env=api.env).returncode == 0
    api.program.stop()
    assert harness.run_program("aion2-api", "--healthcheck", env=api.env).returncode == 1


# ----------------------------------------------------------------------------------- refusals

REFUSED = [
    ("/api/ranking/top?limit=0", 400, "limit"),
    ("/api/ranking/top?limit=1001", 400, "limit"),
    ("/api/ranking/top?limit=ten", 400, "limit"),
    ("/api/ranking/top?limit=", 400, "limit"),
    ("/api/ranking/top?limit=5&limit=5", 400, "limit"),
    ("/api/ranking/top?page=1", 400, "page"),
    ("/api/ranking/top?server=%FF", 400, "server"),
    ("/api/ranking/top?server=%C0%80", 400, "server"),
    ("/api/ranking/top?server=a%00b", 400, "server"),
    ("/api/ranking/top?server=" + "a" * 65, 400, "server"),
    ("/api/ranking?page=0", 400, "page"),
    ("/api/ranking?page=-1", 400, "page"),
    ("/api/ranking?page=1000000001", 400, "page"),
    ("/api/ranking?page_size=201", 400, "page_size"),
    ("/api/ranking?limit=3", 400, "limit"),
    ("/api/character?server=Siel", 400, "name"),
    ("/api/character?name=a", 400, "server"),
    ("/api/character?server=&name=a", 400, "server"),
    ("/api/character?server=Siel&name=%zz", 400, "name"),
    ("/api/updates?limit=101", 400, "limit"),
    ("/api/servers?x=1", 400, "x"),
    ("/api/rankings", 404, None),
    ("/api/ranking/", 404, None),
    ("/nosuch", 404, None),
    ("/api/%72anking", 404, None),
]


@pytest.fixture(scope="module")
def still_api(pg_cluster, _pg_template, tmp_path_factory):
    """One service for all questions that change nothing."""
    database = pg_cluster.create_database(_pg_template.name)
    made = []

    def spawn(program, env):
        log = tmp_path_factory.mktemp("api") / "api.log"
        made.append(harness.Program(program, [], env, log))
        return made[0]

    add_characters(database, SIX)
    publish(database)
    yield Api(spawn, database.url)
    made[0].destroy()
    database.drop()


@pytest.mark.parametrize("path, status, param", REFUSED, ids=lambda v: str(v)[-30:])
def test_refusals(still_api, path, status, param):
    detail = still_api.get(path).problem(status, param)
    assert detail.endswith(".")


def test_refusals_say_what_would_be_right(still_api):
    assert "from 1 to 1000" in still_api.get("/api/ranking/top?limit=0").problem(400, "limit")
    detail = still_api.get("/api/ranking?siz=3").problem(400, "siz")
    assert "server, class, page, page_size, cursor" in detail


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405(still_api, method):
    a = still_api.ask("/api/ranking", method)
    a.problem(405)
    assert a.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", [
    "/api/ranking/top", "/api/ranking?page=2", character_path("Siel", "나무꾼"), "/api/updates",
    "/api/servers", "/health", "/api/ranking?page=0", "/nowhere",
])
def test_head_is_get_without_the_body(still_api, path):
    get, head = still_api.get(path), still_api.ask(path, "HEAD")
    assert head.body == b"" and head.status == get.status
    for name in ("content-length", "content-type", "etag", "vary"):
        assert head.headers.get(name) == get.headers.get(name)
    assert int(head.headers["content-length"]) == len(get.body)


# ------------------------------------------------------------------------------------ caching


def test_etag_of_a_snapshot(still_api):
    a = still_api.get("/api/ranking/top?limit=3")
    etag = a.headers["etag"]
    assert etag.startswith('"') and etag.endswith('"')
    assert still_api.get("/api/ranking/top?limit=3").headers["etag"] == etag
    for value in (etag, f'"x", W/{etag}', "*"):
        b = still_api.get("/api/ranking/top?limit=3", If_None_Match=value)
        assert b.status == 304 and b.body == b"" and b.headers["etag"] == etag
        assert "content-type" not in b.headers
    assert still_api.get("/api/ranking/top?limit=3", If_None_Match='"other"').status == 200


def test_a_304_leaves_the_connection_usable(still_api):
    conn = still_api.connect()
    etag = still_api.ask("/api/ranking", conn=conn).headers["etag"]
    for _ in range(3):
        a = still_api.ask("/api/ranking", headers={"If-None-Match": etag}, conn=conn)
        assert a.status == 304
        assert still_api.ask("/health", conn=conn).json == {"status": "ok"}
    conn.close()


def test_etag_changes_with_the_snapshot_and_lasts_until_the_next(api, pg):
    a = api.get("/api/ranking")
    control = a.headers["cache-control"]
    assert control.startswith("public, max-age=")
    assert 1 <= int(control.split("=")[1]) <= 600
    api.wait_run(publish(pg))
    b = api.get("/api/ranking", If_None_Match=a.headers["etag"])
    assert b.status == 200 and b.headers["etag"] != a.headers["etag"]


def test_gzip_where_it_is_wanted_and_pays(api, pg):
    add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(100)])
    api.wait_run(publish(pg))
    plain = api.get("/api/ranking/top", Accept_Encoding="identity")
    packed = api.get("/api/ranking/top", Accept_Encoding="br, gzip;q=0.8")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 2
    assert packed.headers["etag"] != plain.headers["etag"]
    for a in (plain, packed):
        assert a.headers["vary"] == "Accept-Encoding"
    again = api.get("/api/ranking/top", Accept_Encoding="gzip",
                    If_None_Match=packed.headers["etag"])
    assert again.status == 304
    head = api.ask("/api/ranking/top", "HEAD", {"Accept-Encoding": "gzip"})
    assert head.headers["content-encoding"] == "gzip" and head.body == b""
    for never in ("gzip;q=0", "identity", ""):
        a = api.get("/api/ranking/top", Accept_Encoding=never)
        assert "content-encoding" not in a.headers
    short = api.get("/api/ranking/top?limit=1", Accept_Encoding="gzip")
    assert "content-encoding" not in short.headers


# ------------------------------------------------------------------------------- publications


def test_a_publication_is_served_without_waiting_for_the_next_look(api, pg):
    """By NOTIFY: several in a row arrive faster than the regular look could see them."""
    start = time.monotonic()
    for _ in range(5):
        api.wait_run(publish(pg))
    assert time.monotonic() - start < 5 * 2 * harness.TIMEOUT_SCALE


def test_a_missed_notification_is_made_up_for(api, pg):
    run = publish(pg)
    api.wait_run(run)
    pg.script("UPDATE ranking_state SET generated_at = generated_at + interval '1 second'")
    old = api.json("/api/ranking/top")["generated_at"]
    harness.wait_for(lambda: api.json("/api/ranking/top")["generated_at"] != old, 10,
                     "the change nobody announced")


def test_an_answer_never_mixes_two_generations(api, pg):
    """Every entry of a generation carries its number as score and class."""
    add_characters(pg, [("Siel", f"P{i}", "0", 1, i, None) for i in range(300)])
    stop = threading.Event()
    wrong, seen = [], set()

    def hammer(path):
        conn = api.connect()
        while not stop.is_set():
            doc = api.ask(path, conn=conn).json
            marks = {i["power_score"] for i in doc["items"]} | {i["class"] for i in doc["items"]}
            seen.add(doc["snapshot"]["id"])
            if {str(m) for m in marks} != {str(next(iter(marks)))}:
                wrong.append(doc)
        conn.close()

    pg.script("UPDATE characters SET class = '-1'")
    api.wait_run(publish(pg, score="-1"))
    paths = ["/api/ranking/top?limit=300", "/api/ranking?page=2&page_size=100",
             "/api/ranking?server=Siel&page=1&page_size=200"]
    threads = [threading.Thread(target=hammer, args=(p,)) for p in paths]
    for t in threads:
        t.start()
    try:
        for generation in range(15):
            pg.script(f"UPDATE characters SET class = '{generation}'")
            run = publish(pg, score=str(generation), drop_older=True)
        api.wait_run(run)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not wrong, wrong[0]
    assert len(seen) > 2


def test_memory_of_old_generations_is_given_back(api, pg):
    add_characters(pg, [("Siel", f"P{i}", "Cleric", 1, i, None) for i in range(2000)])
    for _ in range(5):
        api.wait_run(publish(pg, drop_older=True))
    if b"__asan_init" in (harness.bin_dir() / "aion2-api").read_bytes():
        pytest.skip("the sanitizer keeps what is freed")
    before = api.program.rss_kb()
    for _ in range(40):
        api.wait_run(publish(pg, drop_older=True))
    # An image of this size has 160 KB; 40 kept ones would be 6 MB.
    assert api.program.rss_kb() < before + 3000


def test_a_broken_generation_leaves_the_old_one_served(api, pg):
    good = api.json("/api/ranking/top")
    broken = publish(pg, tier=25)  # one more than there are
    api.program.wait_log("ranking.load")
    assert api.json("/api/ranking/top")["items"] == good["items"]
    assert broken != good["snapshot"]["id"]
    api.wait_run(publish(pg), timeout=20)


def test_the_batch_itself(pg, spawn, env):
    """What the worker publishes is what is served."""
    add_characters(pg, [
        ("Siel", f"P{i}", "Cleric", 1, i, json.dumps({"attack": 10 + i, "hp": 100}))
        for i in range(12)
    ])
    api = Api(spawn, pg.url)
    done = harness.run_program("aion2-worker", "--run",
                               "app.worker.calculate_power_and_rank_batch", env=env)
    assert done.returncode == 0, done.stderr
    run = pg.value("SELECT run_id FROM ranking_state")
    api.wait_run(run)
    want = pg.query("SELECT rank, name, power_score, power_rank, percentile FROM ranking_current"
                    " ORDER BY rank")
    items = api.json("/api/ranking/top")["items"]
    assert [(i["rank"], i["name"], i["power_score"], i["power_rank"]) for i in items] == [
        row[:4] for row in want]
    for _, name, *_, percentile in want:
        assert api.json(character_path("Siel", name))["percentile"] == percentile
