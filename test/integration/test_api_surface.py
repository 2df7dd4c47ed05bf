"""What aion2-api does around its answers: pages of other origins, the log of requests."""

import re

import pytest

import harness
from board import SIX, Api, add_characters, publish

PAGE = "https://fan.example"


@pytest.fixture
def make_api(pg, spawn):
    add_characters(pg, SIX)
    publish(pg)
    return lambda **settings: Api(spawn, pg.url, **settings)


def preflight(api, path, origin=PAGE, method="GET"):
    return api.ask(path, method="OPTIONS",
                   headers={"Origin": origin, "Access-Control-Request-Method": method})


def test_without_a_list_no_page_may_read(make_api):
    api = make_api()
    answer = api.get("/api/ranking/top", Origin=PAGE)
    assert answer.status == 200
    assert not [h for h in answer.headers if h.startswith("access-control")]
    assert preflight(api, "/api/ranking/top").status == 405


def test_pages_of_the_list_may_read(make_api):
    api = make_api(CORS_ORIGINS=f"https://other.example, {PAGE}")
    for path in ("/api/ranking/top", "/api/character?server=Siel&name=nobody", "/nosuch", "/api/ranking.csv"):
        answer = api.get(path, Origin=PAGE)
        assert answer.headers["access-control-allow-origin"] == PAGE, path
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
        answer = api.get(path, Origin="https://evil.example")
        assert "access-control-allow-origin" not in answer.headers, path
        assert "Origin" in answer.headers["vary"], "a cache must not give it to others"
    assert "access-control-allow-origin" not in api.get("/api/ranking/top").headers


def test_a_browser_may_ask_first(make_api):
    api = make_api(CORS_ORIGINS=PAGE)
    answer = preflight(api, "/api/ranking/top")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers, "RFC 9110, 8.6"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "If-None-Match" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in preflight(api, "/api/ranking/top", "https://evil.example").headers
    assert api.ask("/api/ranking/top", method="OPTIONS").status == 405, "not a question of a browser"
    assert preflight(api, "/nosuch").status == 404


def test_every_page_may_read(make_api):
    api = make_api(CORS_ORIGINS="*")
    assert api.get("/api/servers", Origin=PAGE).headers["access-control-allow-origin"] == "*"
    assert api.get("/api/servers").headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("value", ["fan.example", "https://fan.example/", "*,https://fan.example"])
def test_a_wrong_list_is_refused_at_the_start(pg, value):
    done = harness.run_program("aion2-api", "--check-config", env={"DATABASE_URL": pg.url, "CORS_ORIGINS": value})
    assert done.returncode == 64 and "CORS_ORIGINS" in done.stderr


LINE = re.compile(r'event=http.request method=(\S+) target="([^"]*)" status=(\d+) us=(\d+) bytes=(\d+) client="([^"]*)"')


def test_all_requests_are_logged(make_api):
    api = make_api(ACCESS_LOG="all")
    api.get("/api/ranking/top?limit=2")
    api.ask("/api/servers", method="HEAD")
    api.ask("/health", method="PUT")
    api.get("/api/ranking.csv")
    harness.wait_for(lambda: len(LINE.findall(api.program.log())) >= 4, what="four lines")
    lines = [line[:3] for line in LINE.findall(api.program.log())]
    assert lines == [("GET", "/api/ranking/top?limit=2", "200"), ("HEAD", "/api/servers", "200"),
                     ("PUT", "/health", "405"), ("GET", "/api/ranking.csv", "200")]
    assert all(line[5] == "127.0.0.1" for line in LINE.findall(api.program.log()))


def test_what_failed_here_is_logged_by_default(make_api, pg):
    api = make_api()
    assert api.get("/api/ranking/top").status == 200
    api.get("/nosuch").problem(404)
    pg.stop("immediate")
    harness.wait_for(lambda: api.get("/api/updates").status == 503, what="the failure")
    lines = LINE.findall(api.program.log())
    assert lines and {(line[1], line[2]) for line in lines} == {("/api/updates", "503")}


def test_no_log_when_none_is_wanted(make_api, pg):
    api = make_api(ACCESS_LOG="off")
    pg.stop("immediate")
    harness.wait_for(lambda: api.get("/api/updates").status == 503, what="the failure")
    assert not LINE.search(api.program.log())
