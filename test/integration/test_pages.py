"""What aion2-api serves to browsers: the pages' frames, their files, and who gets an error in which form."""

import gzip
import html
import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

import harness
from board import SIX, Api, add_characters, publish

HOSTILE = '"><script>alert(1)</script>&{{title}}\u202e\''
PAGES = ("/", "/character", "/compare", "/servers", "/score")
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def api(pg, spawn):
    add_characters(pg, [*SIX, ("Siel", HOSTILE, "<b>", 45, 1, '{"hp": 1}')])
    publish(pg)
    return Api(spawn, pg.url)


class Frame(HTMLParser):
    """Title, meta and link elements of a page, its scripts and anything inline."""

    def __init__(self, text):
        super().__init__()
        self.title, self.meta, self.links, self.scripts, self.inline = "", {}, [], [], []
        self._in = None
        self.lang = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._in = tag
        if tag == "html":
            self.lang, self.theme = attrs["lang"], attrs["data-theme"]
        elif tag == "meta":
            self.meta[attrs.get("name") or attrs.get("property") or "charset"] = attrs.get("content")
        elif tag == "link":
            self.links.append(attrs)
        elif tag == "script":
            self.scripts.append(attrs)
        self.inline += [k for k in attrs if k == "style" or k.startswith("on")]
        if tag == "style":
            self.inline.append(tag)

    def handle_data(self, data):
        if self._in == "title":
            self.title += data
        elif self._in == "script" and data.strip():
            self.inline.append(data)

    def handle_endtag(self, _tag):
        self._in = None

    def link(self, rel):
        return [x["href"] for x in self.links if x["rel"] == rel]


def frame(api, path, **headers):
    a = api.get(path, **headers)
    assert a.status == 200, (path, a.body[:300])
    assert a.headers["content-type"] == "text/html; charset=utf-8"
    return Frame(a.body.decode())


def test_every_page_has_its_headers_and_nothing_inline(api):
    for path in PAGES:
        a = api.get(path)
        policy = dict(x.strip().split(" ", 1) for x in a.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in a.headers["content-security-policy"]
        assert a.headers["x-content-type-options"] == "nosniff"
        assert a.headers["x-frame-options"] == "DENY"
        assert a.headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert a.headers["cross-origin-opener-policy"] == "same-origin"
        assert a.headers["cache-control"] == "no-cache"
        assert {x.strip() for x in a.headers["vary"].split(",")} == {"Accept-Encoding", "Accept-Language", "Cookie"}
        f = Frame(a.body.decode())
        assert not f.inline and f.title.endswith("| aion2rank") and "{{" not in a.body.decode()
        assert all(f.meta[k] for k in ("description", "og:title", "og:description", "og:image", "viewport"))
        assert len(f.scripts) == 1 and f.scripts[0]["type"] == "module"


def test_every_file_that_a_page_names_is_there_and_lasts(api):
    for path in PAGES:
        f = frame(api, path)
        files = [f.scripts[0]["src"], *f.link("stylesheet"), *f.link("modulepreload"), *f.link("icon")]
        for name in files:
            a = api.get(name)
            assert a.status == 200, name
            assert a.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert a.headers["x-content-type-options"] == "nosniff"


def imports(text):
    return re.findall(r'(?:import|from|import\()\s*"(\.[^"]+)"', text)


def test_scripts_import_only_what_is_there(api):
    seen, left = set(), [f"pages/{p.strip('/') or 'ranking'}.js" for p in PAGES]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        a = api.get(f"/assets/{name}")
        assert a.status == 200 and a.headers["content-type"] == "text/javascript; charset=utf-8", name
        folder = name.split("/")[:-1]
        for other in imports(a.body.decode()):
            parts = folder[:]
            for part in other.split("/"):
                parts = parts[:-1] if part == ".." else parts + ([part] if part != "." else [])
            left.append("/".join(parts))
    assert len(seen) > 10


def test_files_have_types_tags_and_a_compressed_form(api):
    types = {"common/tokens.css": "text/css; charset=utf-8", "images/icon.svg": "image/svg+xml",
             "images/preview.png": "image/png", "pages/ranking.js": "text/javascript; charset=utf-8"}
    for name, kind in types.items():
        plain = api.get(f"/assets/{name}")
        packed = api.get(f"/assets/{name}", Accept_Encoding="gzip")
        assert plain.headers["content-type"] == packed.headers["content-type"] == kind
        assert plain.headers["cache-control"] == "no-cache"  # no version in its address
        if packed.headers.get("content-encoding") == "gzip":
            assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
            assert packed.headers["etag"] != plain.headers["etag"]
        for a in (plain, packed):
            again = api.get(f"/assets/{name}", If_None_Match=a.headers["etag"], Accept_Encoding=(
                "gzip" if a is packed else "identity"))
            assert again.status == 304 and again.body == b""
        head = api.ask(f"/assets/{name}", method="HEAD")
        assert head.body == b"" and int(head.headers["content-length"]) == len(plain.body)
    assert api.get("/assets/images/preview.png").body.startswith(b"\x89PNG")
    assert api.get("/favicon.ico").headers["content-type"] == "image/x-icon"
    assert b"Disallow: /api/" in api.get("/robots.txt").body


def test_a_page_is_not_sent_twice(api):
    first = api.get("/")
    assert api.get("/", If_None_Match=first.headers["etag"]).status == 304
    english = api.get("/", If_None_Match=first.headers["etag"], Accept_Language="en")
    assert english.status == 200 and english.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("path", [
    "/assets/", "/assets", "/assets/nosuch.js", "/assets/shell.html", "/assets/../openapi.json",
    "/assets/%2e%2e/openapi.json", "/assets/web/shell.html", "/assets//pages/ranking.js", "/assets/pages",
    "/assets/x/" + "y" * 500 + ".js", "/shell.html", "/pages/ranking.js", "/Character", "/character/",
])
def test_nothing_else_is_served(api, path):
    a = api.get(path)
    a.problem(404)
    seen = api.get(path, Accept=BROWSER)
    assert seen.status == 404 and seen.headers["content-type"] == "text/html; charset=utf-8"
    assert seen.headers["content-security-policy"] and seen.headers["x-robots-tag"] == "noindex"
    assert "etag" not in seen.headers


def test_api_errors_are_problems_for_browsers_too(api):
    for path in ("/api/nosuch", "/api", "/api/character?server=Siel&name=nobody", "/api/ranking?page=0"):
        a = api.get(path, Accept=BROWSER)
        assert a.status in (400, 404) and a.headers["content-type"] == "application/problem+json"
    a = api.ask("/nosuch", method="POST", headers={"Accept": BROWSER}, body="")
    assert a.headers["content-type"] == "application/problem+json"
    assert api.ask("/", method="POST", body="").headers["allow"] == "GET, HEAD"


def test_language_comes_from_address_then_choice_then_browser(api):
    cases = [("/", {}, "ko"), ("/", {"Accept_Language": "en-US,en;q=0.9"}, "en"), ("/", {"Accept_Language": "ja"}, "en"),
             ("/", {"Accept_Language": "en", "Cookie": "a=b; lang=ko"}, "ko"), ("/", {"Cookie": "xlang=en; lang=fr"}, "ko"),
             ("/?lang=en", {"Cookie": "lang=ko"}, "en"), ("/?lang=xx", {"Cookie": "lang=en"}, "en"),
             ("/score?utm_source=%ZZ&lang=en", {}, "en")]
    for path, headers, lang in cases:
        a = api.get(path, **headers)
        assert a.status == 200 and a.headers["content-language"] == lang, (path, headers)
        assert Frame(a.body.decode()).lang == lang
    assert frame(api, "/", Cookie="theme=dark").theme == "dark"
    assert frame(api, "/", Cookie='theme="><script>').theme == "auto"


def test_preview_of_a_character(api):
    f = frame(api, f"/character?server=Siel&name={quote('나무꾼')}")
    assert "나무꾼" in f.title and "B2" in f.title and "시엘" in f.title
    assert "Warrior" in f.meta["og:description"] and "Lv.38" in f.meta["og:description"]
    assert f.meta["robots"] == "noindex"
    assert api.get("/character").headers["x-robots-tag"] == "noindex"
    assert f.link("canonical")[0].endswith(f"/character?server=Siel&name={quote('나무꾼')}")
    english = frame(api, f"/character?server=Siel&name={quote('나무꾼')}&lang=en")
    assert "Siel" in english.title and "over all servers" in english.meta["og:description"]
    nobody = frame(api, "/character?server=Nowhere&name=Nobody")
    assert "Nobody (Nowhere)" in nobody.title


def test_preview_of_boards_and_comparisons(api):
    f = frame(api, "/?server=Zikel")
    assert "지켈" in f.title and "2명" in f.meta["description"]
    assert frame(api, "/").meta["robots"] == "index, follow"
    assert "A vs B" in frame(api, "/compare?a=Siel:A&b=Zikel:B").title


def test_names_are_text_in_every_place(api):
    encoded = quote(HOSTILE, safe="")
    for path in (f"/character?server=Siel&name={encoded}", f"/character?server={encoded}&name={encoded}",
                 f"/compare?a={encoded}&b={encoded}", f"/?server={encoded}"):
        a = api.get(path)
        text = a.body.decode()
        f = Frame(text)
        assert a.status == 200 and len(f.scripts) == 1 and not f.inline, path
        assert "<script>alert" not in text and "\u202e" not in text
        assert set(re.findall(r"\{\{.*?\}\}", text)) <= {"{{title}}"}  # the name's own, as text
    f = frame(api, f"/character?server=Siel&name={encoded}")
    assert HOSTILE.replace("\u202e", "") in f.title and HOSTILE.replace("\u202e", "") in f.meta["og:title"]
    assert html.escape("<b>") in api.get(f"/character?server=Siel&name={encoded}").body.decode()


def test_links_are_whole_and_only_to_us(api, pg, spawn):
    assert frame(api, "/").link("canonical") == [f"http://127.0.0.1:{api.port}/"]
    for host in ('evil"><script>', "a b", ""):
        raw = api.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b'<link rel="canonical" href="/">' in raw
    named = Api(spawn, pg.url, PUBLIC_URL="https://rank.example.org")
    f = frame(named, "/score")
    assert f.link("canonical") == ["https://rank.example.org/score"]
    assert f.meta["og:image"] == "https://rank.example.org/assets/images/preview.png"


@pytest.mark.parametrize("url", ["rank.example.org", "https://", "https://x/y", "javascript:alert(1)"])
def test_a_wrong_public_url_is_refused(pg, url):
    done = harness.run_program("aion2-api", "--check-config", env={"DATABASE_URL": pg.url, "PUBLIC_URL": url})
    assert done.returncode != 0 and "PUBLIC_URL" in done.stderr


def test_frames_without_a_ranking_and_without_postgresql(pg, spawn):
    api = Api(spawn, pg.url)
    pg.stop("immediate")
    for path in PAGES:
        assert frame(api, path + "?server=Siel&name=a&a=Siel:a&b=Siel:b").title
    pg.start()
