"""The players' pages in a real browser, on a board of 100 thousand characters: every page in both
languages and two sizes, by keyboard, with hostile names, without the service, and back."""

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from browser import DESKTOP, PHONE
from stack import HOSTILE

FIRST_LOAD_MAX = 100 * 1024
SHIFT_MAX = 0.01
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
AWAY = ("ERR_CONNECTION_REFUSED", "Failed to load resource")


def top(stack, n=4, **params):
    query = urllib.parse.urlencode({"limit": n, **params})
    with urllib.request.urlopen(f"{stack.url}/api/ranking/top?{query}", timeout=10) as r:
        return json.load(r)["items"]


def address(path, **params):
    return f"{path}?{urllib.parse.urlencode(params)}" if params else path


def person(c):
    return address("/character", server=c["server"], name=c["name"])


def versus(*characters):
    return address("/compare", **{k: f"{c['server']}:{c['name']}" for k, c in zip("abcd", characters)})


def pages(stack):
    """Every page, with each of the states it may be in."""
    first = top(stack)
    return {
        "ranking": "/",
        "server": address("/", server=stack.server),
        "class": address("/", server=stack.server, page=2, **{"class": first[0]["class"]}),
        "past": address("/", page=99999),
        "character": person(first[1]),
        "unknown": address("/character", server=stack.server, name="아무도없음"),
        "lookup": "/character",
        "compare": versus(*first),
        "compare-empty": "/compare",
        "servers": "/servers",
        "one-server": address("/servers", server=stack.server),
        "score": "/score",
    }


# ---- every page ----

_NAMELESS = """
return [...document.querySelectorAll('a, button, input, select, summary, [role=tab], [role=img], [role=option]')]
  .filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim()))
  .map(e => e.outerHTML.slice(0, 120));
"""


def check_page(browser, name, lang, width):
    assert browser.js("return document.documentElement.lang") == lang
    assert len(browser.all("h1")) == 1 and browser.text("h1"), name
    assert len(browser.all("main")) == len(browser.all("nav.site-nav[aria-label]")) == 1
    assert browser.js(_NAMELESS) == [], name
    assert browser.js("return document.querySelectorAll('[id]').length === new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"), name
    wide = browser.js("return document.documentElement.scrollWidth")  # a phone's innerWidth grows with it
    assert wide <= width, (name, "wider than the screen", wide)
    text = browser.text("body")
    assert "undefined" not in text and "NaN" not in text and "[object" not in text, name


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_is_quiet_and_stands_still(browser, stack, size, lang):
    browser.screen(size, lang=lang)
    browser.allowed = ["404 (Not Found)"]  # the unknown character: the browser logs it, the page says it
    for name, path in pages(stack).items():
        browser.open(stack.url + path)
        browser.until("return document.querySelector('[aria-busy]') === null")
        check_page(browser, name, lang, size[0])
        # Figures are drawn after the first data.
        if name == "character":
            browser.until("return document.querySelector('.line-host canvas') !== null")
        assert browser.js("return window.seen.shift") < SHIFT_MAX, (name, browser.js("return window.seen"))
        assert not browser.complaints(browser.allowed), name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read_in_both_themes(browser, stack, theme):
    browser.screen(DESKTOP, theme=theme)
    browser.allowed = ["404 (Not Found)"]
    for name, path in pages(stack).items():
        browser.open(stack.url + path)
        browser.until("return document.querySelector('[aria-busy]') === null")
        assert browser.js(CONTRAST) == [], name


def test_the_first_load_is_small(browser, stack):
    browser.screen(PHONE)
    browser.open(stack.url + "/")
    time.sleep(0.3)
    loaded = browser.js("""
        const all = [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')];
        return {bytes: all.reduce((n, e) => n + e.transferSize, 0), requests: all.length,
                foreign: all.filter(e => new URL(e.name).origin !== location.origin).map(e => e.name)}""")
    assert loaded["foreign"] == []
    assert 20_000 < loaded["bytes"] < FIRST_LOAD_MAX, loaded
    assert loaded["requests"] <= 30, loaded
    browser.driver.refresh()
    browser.wait_ready()
    again = browser.js("return performance.getEntriesByType('resource').filter(e => e.name.includes('/assets/')).reduce((n, e) => n + e.transferSize, 0)")
    assert again == 0  # files with their version are kept for good


def test_nothing_moves_for_who_wants_it_so(browser, stack):
    browser.screen(DESKTOP, motion="reduce")
    browser.driver.get(stack.url + "/")
    assert browser.js("return document.getAnimations().length") == 0
    browser.wait_ready()


# ---- hostile names ----


def type_name(browser, css, text):
    """Types, and waits for the answer to all of it."""
    field = browser.one(css)
    field.send_keys(text)
    browser.until(f"return document.querySelector({css!r} + ' ~ .found-box .found')?.dataset.of === {text!r}")
    return field


def shown_names(browser, css):
    return browser.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", css)


def test_names_are_text_and_never_markup(browser, stack):
    browser.screen(DESKTOP)
    browser.open(stack.url + address("/", server=stack.server))
    names = shown_names(browser, ".board .name")
    assert set(HOSTILE) <= set(names)
    for name in HOSTILE:
        browser.open(stack.character_url(stack.server, name))
        assert shown_names(browser, "h1 .name") == [name]
        browser.click(".star")
        assert browser.js("return document.documentElement.scrollWidth") <= DESKTOP[0], name
    browser.open(stack.url + versus(*({"server": stack.server, "name": n} for n in HOSTILE[:4])))
    assert set(HOSTILE[:4]) <= set(shown_names(browser, ".compare-table .name"))
    browser.open(stack.url + "/")
    assert shown_names(browser, ".side-list .name").count(HOSTILE[0]) >= 2  # kept and seen
    type_name(browser, "#site-search", HOSTILE[0][:6])
    assert shown_names(browser, "[role=option] .name") == [HOSTILE[0]]
    assert browser.js("return window.hacked === undefined && document.querySelectorAll('main img, main script').length === 0")


def test_a_name_in_an_address_is_text(browser, stack):
    browser.screen(PHONE)
    browser.allowed = ["404 (Not Found)"]
    for name in HOSTILE:
        browser.open(stack.url + address("/character", server=name, name=name))
        browser.open(stack.url + address("/", server=name))
        assert browser.one("[role=alert]").text
        browser.open(stack.url + address("/compare", a=f"x:{name}", b=f"y:{name}"))
    assert browser.js("return window.hacked === undefined")


# ---- by keyboard ----


def test_search_by_keyboard(browser, stack):
    browser.screen(DESKTOP)
    first = top(stack, 1)[0]
    browser.open(stack.url + "/")
    field = type_name(browser, "#site-search", first["name"][:2])
    assert field.get_attribute("aria-expanded") == "true"
    field.send_keys(Keys.ARROW_DOWN)
    active = browser.js("return document.getElementById(document.querySelector('#site-search').getAttribute('aria-activedescendant'))")
    assert active.get_attribute("role") == "option" and active.get_attribute("aria-selected") == "true"
    assert first["name"] in active.text  # the best placed comes first
    field.send_keys(Keys.ARROW_UP)
    browser.until("return [...document.querySelectorAll('[role=option]')].at(-1).getAttribute('aria-selected') === 'true'")
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("aria-expanded") == "false" and field.get_attribute("value")
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("value") == ""
    type_name(browser, "#site-search", first["name"]).send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    browser.until("return location.pathname === '/character'")
    browser.wait_ready()
    assert browser.text("h1") == first["name"]


def test_search_by_korean_initials(browser, stack):
    browser.screen(PHONE)
    browser.open(stack.url + "/")
    type_name(browser, "#site-search", "ㄱㄴ")
    assert len(shown_names(browser, "[role=option] .name")) > 1
    for name in shown_names(browser, "[role=option] .name"):
        assert [(ord(ch) - 0xAC00) // 588 for ch in name[:2]] == [0, 2], name
    assert browser.text("#announcer")


def test_tabs_by_keyboard_and_history(browser, stack):
    browser.screen(DESKTOP)
    browser.open(stack.url + "/")
    tab = browser.until("return document.querySelector('[role=tab][aria-selected=true]')")
    tab.send_keys(Keys.ARROW_RIGHT)
    name = browser.js("return document.activeElement.dataset.server")
    assert name and browser.js("return document.activeElement.getAttribute('role')") == "tab"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until("return document.querySelector('[role=tab][aria-selected=true]').dataset.server !== ''")
    assert urllib.parse.parse_qs(urllib.parse.urlparse(browser.driver.current_url).query) == {"server": [name]}
    browser.until("return document.querySelector('[role=tabpanel] tbody th')")
    assert browser.js("return document.activeElement.dataset.server") == name  # the focus stays
    browser.driver.switch_to.active_element.send_keys(Keys.END)
    assert browser.js("return document.activeElement === document.querySelector('[role=tablist]').lastElementChild")
    browser.driver.back()
    browser.until("return document.querySelector('[role=tab][aria-selected=true]').dataset.server === ''")
    assert browser.js("return [...document.querySelectorAll('[role=tab]')].filter(e => e.tabIndex === 0).length") == 1


def test_the_way_past_the_menu(browser, stack):
    browser.screen(DESKTOP)
    browser.open(stack.url + "/score")
    browser.one("body").send_keys(Keys.TAB)
    skip = browser.driver.switch_to.active_element
    assert skip.get_attribute("class") == "skip" and skip.rect["y"] >= 0
    assert browser.js("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    skip.send_keys(Keys.ENTER)
    assert browser.js("return document.activeElement.id") == "main"


def test_tables_can_be_sorted(browser, stack):
    browser.screen(DESKTOP)
    browser.open(stack.url + "/servers")
    counts = "return [...document.querySelectorAll('.server-table tbody td:nth-child(2)')].map(e => Number(e.textContent.replaceAll(',', '')))"
    assert browser.one(".server-table [aria-sort]").get_attribute("aria-sort") == "descending"
    down = browser.js(counts)
    assert len(down) > 40 and down == sorted(down, reverse=True)
    browser.one(".server-table [aria-sort] button").send_keys(Keys.ENTER)
    assert browser.one(".server-table [aria-sort]").get_attribute("aria-sort") == "ascending"
    assert browser.js(counts) == sorted(down)
    assert browser.js("return document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"


# ---- choices that last ----


def test_language_and_theme(browser, stack):
    browser.screen(DESKTOP, theme="light")
    browser.open(stack.url + address("/", server=stack.server, page=2))
    assert browser.text("nav.site-nav").startswith("랭킹")
    browser.click("#switch-lang")
    browser.until("return document.documentElement.lang === 'en' && document.querySelector('[data-ready]') !== null")
    assert browser.text("nav.site-nav").startswith("Ranking") and "page=2" in browser.driver.current_url
    light = browser.js("return getComputedStyle(document.body).backgroundColor")
    browser.one("#switch-theme").send_keys(Keys.ENTER)
    dark = browser.js("return getComputedStyle(document.body).backgroundColor")
    assert dark != light
    browser.open(stack.url + "/score")
    assert browser.js("return [document.documentElement.lang, document.documentElement.dataset.theme]") == ["en", "dark"]
    browser.open(stack.url + "/?lang=ko")  # an address says more than a choice
    assert browser.js("return document.documentElement.lang") == "ko"
    assert all("lang=ko" in a.get_attribute("href") for a in browser.all("nav.site-nav a"))


def test_links_to_boards(browser, stack):
    browser.screen(DESKTOP)
    cls = top(stack, 1, server=stack.server)[0]["class"]
    url = stack.url + address("/", server=stack.server, page=2, **{"class": cls})
    browser.open(url)
    assert shown_names(browser, ".board .rank") == [str(i) for i in range(51, 101)]
    assert set(shown_names(browser, ".board tbody .col-class")) == {cls}
    assert shown_names(browser, ".pager [aria-current]") == ["2"]
    browser.until(f"return document.querySelector('.chip[aria-current]')?.textContent === {cls!r}")
    browser.click(".pager a[aria-label='다음']")
    browser.until("return document.querySelector('.board .rank')?.textContent === '101'")
    assert "page=3" in browser.driver.current_url
    browser.driver.back()
    browser.until("return document.querySelector('.board .rank')?.textContent === '51'")
    other = browser.one(".tabs-more")
    name = Select(other).options[3].get_attribute("value")
    Select(other).select_by_index(3)
    browser.until(f"return document.querySelector('[role=tab][aria-selected=true]').dataset.server === {name!r}")
    assert "class" not in browser.driver.current_url and "page" not in browser.driver.current_url


def test_servers_by_any_of_their_names(browser, stack):
    browser.screen(DESKTOP)
    for path in ("/", "/servers"):
        browser.open(stack.url + address(path, server="네자칸"))
        tabs = shown_names(browser, "[role=tab]")
        assert tabs.count("네자칸") == 1 and len(tabs) == len(set(tabs)) == 6, tabs
        assert shown_names(browser, "[role=tab][aria-selected=true]") == ["네자칸"]
    options = shown_names(browser, ".tabs-more option")
    assert len(options) == len(set(options)) and "네자칸" not in options


def test_favourites_and_comparison(browser, stack):
    browser.screen(PHONE)
    one, two = top(stack, 2)
    browser.open(stack.url + person(one))
    browser.click(".star")
    browser.until("return document.querySelector('.star').getAttribute('aria-pressed') === 'true'")
    browser.click(".compare-slot button")
    browser.open(stack.url + person(two))
    browser.click(".compare-slot button")
    browser.click(".compare-slot a")
    browser.until("return location.pathname === '/compare' && document.querySelector('.compare-table') !== null")
    assert {one["name"], two["name"]} == set(shown_names(browser, ".compare-table thead .name"))
    third = top(stack, 3)[2]
    type_name(browser, "#compare-search", third["name"]).send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    browser.until("return document.querySelectorAll('.compare-table thead .name').length === 3")
    shared = browser.driver.current_url
    browser.click(".picked-off")
    browser.until("return document.querySelectorAll('.compare-table thead .name').length === 2")
    browser.open(shared)
    assert len(shown_names(browser, ".compare-table thead .name")) == 3
    browser.open(stack.url + "/")
    assert one["name"] in shown_names(browser, ".side-list .name")


# ---- the source ----


def test_refresh_and_its_pause(browser, stack):
    browser.screen(DESKTOP)
    c = top(stack, 30)[29]
    browser.open(stack.url + person(c))
    browser.until("return document.querySelector('.actions .button-main').getAttribute('aria-disabled') === 'false'")
    browser.click(".actions .button-main")
    browser.until("return document.querySelector('.toast')")
    browser.until("return /\\d+/.test(document.querySelector('.actions .button-main').textContent)")
    assert browser.one(".actions .button-main").get_attribute("aria-disabled") == "true"
    browser.until("return document.querySelector('.state').dataset.state === 'live'")


def test_a_new_character_from_the_source(browser, stack):
    browser.screen(PHONE)
    browser.allowed = ["404 (Not Found)"]
    browser.open(stack.url + address("/character", server="Siel", name="처음온사람"))
    browser.click(".ask-form button")
    browser.until("return document.querySelector('.score-card') !== null")
    browser.wait_ready()
    assert browser.text("h1") == "처음온사람" and "순위 밖" in browser.text(".score-card")


# ---- what becomes of the service ----


def test_a_new_ranking_shows_by_itself(browser, stack):
    browser.screen(DESKTOP)
    later = browser.cdp("Page.addScriptToEvaluateOnNewDocument",
                        source="{ const now = Date.now; Date.now = () => now() + 3600000; }")
    try:
        browser.open(stack.url + "/")  # an hour late, it asks every few seconds
        before = browser.js("return document.querySelector('.fresh time').dateTime")
        stack.batch()
        browser.until("return document.querySelector('.fresh time').dateTime !== " + repr(before), 30)
        assert browser.text("#announcer") == "새 랭킹이 반영되었습니다."
        assert len(browser.all(".board tbody tr")) == 50
    finally:
        browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=later["identifier"])


def test_the_service_goes_away_and_comes_back(browser, stack):
    browser.screen(DESKTOP)
    browser.allowed = AWAY
    browser.open(stack.url + "/")
    stack.stop_api()
    try:
        browser.click("[role=tab]:nth-child(2)")
        browser.until("return document.querySelector('[role=alert]')?.querySelector('button') != null")
        browser.one("#site-search").send_keys("가")
        browser.until("return document.querySelector('.found-hint')?.checkVisibility()")
    finally:
        stack.start_api()
    browser.until("return document.querySelector('[role=alert]') === null && document.querySelectorAll('.board tbody th').length === 50", 20)


def test_before_the_first_ranking(browser, stack):
    browser.screen(PHONE)
    browser.allowed = ["503 (Service Unavailable)", "404 (Not Found)"]
    api = stack.second_api()
    try:
        for path, text in (("/", "아직 첫 랭킹이"), ("/servers", "아직 랭킹이 없습니다"), ("/score", "아직 랭킹이 없습니다")):
            browser.open(api.url + path)
            assert text in browser.text("main"), path
    finally:
        api.close()


def test_what_is_not_there(browser, stack):
    browser.screen(PHONE)
    browser.allowed = ["404 (Not Found)"]
    browser.driver.get(stack.url + "/no/such/page")
    assert "페이지를 찾을 수 없습니다" in browser.text("h1")
    browser.one("#site-search").send_keys("가")
    browser.until("return document.querySelector('[role=option]')")  # the frame works
    browser.open(stack.url + address("/", server="없는서버"))
    assert "없는서버" in browser.one("[role=alert]").text
    browser.open(stack.url + address("/", **{"class": "없는직업"}))
    assert "없는직업" in browser.one("[role=alert]").text
    browser.open(stack.url + address("/servers", server="없는서버"))
    assert "없는서버" in browser.one("[role=alert]").text


def test_the_calculator_follows_the_rules(browser, stack):
    browser.screen(DESKTOP, lang="en")
    browser.open(stack.url + "/score")
    assert browser.text(".try-result .score-big") == "1,000"
    fields = browser.all(".try-field input[type=number]")
    average = int(fields[0].get_attribute("value"))
    fields[0].clear()
    fields[0].send_keys(str(average * 2))
    browser.until("return document.querySelector('.try-result .score-big').textContent === '1,300'")
    browser.click(".try-bar button")
    assert browser.text(".try-result .score-big") == "1,000"
    slider = browser.one("#try-attack")
    slider.send_keys(Keys.HOME)
    browser.until("return document.querySelector('.try-result .score-big').textContent === '700'")
    assert len(browser.all(".tier-table tbody tr")) == 25


def test_explained_scores_are_the_boards(browser, stack):
    browser.screen(DESKTOP, lang="en")
    c = top(stack, 3)[2]
    browser.open(stack.url + person(c))
    assert browser.text(".score-card .score-big") == f"{c['power_score']:,}"
    points = [float(x.replace(",", "")) for x in shown_names(browser, ".stats-table tbody td:last-child .wide-only")]
    assert len(points) == 8 and abs(sum(points) - c["power_score"]) < 1
    assert len(browser.all(".radar polygon.radar-shape")) == 1
    days = Select(browser.one(".choices label:nth-child(2) select"))
    days.select_by_value("90")
    browser.click(".as-table summary")
    browser.until("return document.querySelectorAll('.as-table tbody tr').length > 31")
