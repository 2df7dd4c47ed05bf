"""The operations page in a real browser, on a running system: everything an operator needs, live, and
nothing that somebody without the right to it could do."""

import json
import signal
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

import harness
from browser import DESKTOP, PHONE
from harness import wait_for
from servers import Postgres, Redis

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
ADMIN = "a2_" + "A" * 43
HOSTILE = "<img src=x onerror=window.hacked=1>"
BATCH = "app.worker.calculate_power_and_rank_batch"


class System:
    """All four programs, with some characters, a dead letter and a message in quarantine."""

    def __init__(self):
        self.dir = harness.make_temp_dir()
        self.cluster = Postgres()
        self.redis = Redis()
        self.pg = self.cluster.create_database()
        self.port, self.api_port = harness.free_port(), harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "DATABASE_URL": self.pg.url, "REDIS_URL": self.redis.url, "STATE_DIR": str(self.dir),
            "API_LISTEN": f"127.0.0.1:{self.api_port}", "ADMIN_LISTEN": f"127.0.0.1:{self.port}",
            "ADMIN_TOKEN": ADMIN, "TEST_TASKS": "1", "BATCH_INTERVAL": "86400", "API_THREADS": "1",
        }
        harness.run_program("aion2ctl", "migrate", env=self.env, check=True)
        harness.run_program("aion2ctl", "import", harness.TEST_DATA / "characters.csv", "--quiet",
                            env=self.env, check=True)
        self.programs = [harness.Program(name, (), self.env, self.dir / f"{name}.log")
                         for name in ("aion2-worker", "aion2-beat", "aion2-api")]
        wait_for(lambda: harness.port_open(self.port), 30, "the admin side")
        self.ctl("call", BATCH, "--wait", "60")
        r = self.client()
        r.lpush("celery", json.dumps({"task": HOSTILE, "id": "dead-1"}), "no JSON at all")
        wait_for(lambda: r.llen("aion2:dead") == 1 and r.llen("aion2:quarantine") == 1, 30, "the letters")

    def ctl(self, *args):
        return harness.run_program("aion2ctl", *args, env=self.env, check=True).stdout

    def client(self):
        return self.redis.client()

    def token(self, scope):
        """Made as an operator makes one; the admin side knows it within two seconds."""
        out = self.ctl("token", "create", f"test-{scope}", "--scope", scope)
        return next(word for word in out.split() if word.startswith("a2_"))

    def close(self):
        for program in self.programs:
            program.destroy()
        self.redis.destroy()
        self.cluster.destroy()


@pytest.fixture(scope="module")
def system():
    made = System()
    yield made
    made.close()


@pytest.fixture
def page(chromium, system):
    """Signed in as admin on a desktop, in English; nothing to complain about at the end."""
    chromium.reset(system.url)
    chromium.allowed = []
    chromium.screen(DESKTOP, lang="en")
    sign_in(chromium, system, ADMIN)
    yield chromium
    left = chromium.complaints(chromium.allowed)
    assert not left, left


def sign_in(browser, system, token, lang="en"):
    browser.open(f"{system.url}/?lang={lang}")
    browser.one("#token").send_keys(token)
    browser.one("form.enter button").click()
    browser.until("return document.querySelector('#runs .table, #runs .empty') !== null", what="the page")


def click(browser, key):
    browser.until(f"return document.querySelector('[data-key=\"{key}\"]') !== null", what=key)
    browser.js("arguments[0].click()", browser.one(f'[data-key="{key}"]'))


def confirm(browser, text=None):
    browser.until("return document.querySelector('dialog[open]') !== null", what="the question")
    if text is not None:
        browser.one("dialog .field").send_keys(text)
    browser.driver.find_element(By.CSS_SELECTOR, "dialog [value=yes]").click()
    browser.until("return document.querySelector('dialog[open]') === null", what="the end of the question")


def changes(system):
    return [row[0] for row in system.pg.query("SELECT action FROM admin_audit WHERE status < 400 ORDER BY id")]


# ---- looking ----


@pytest.mark.parametrize("lang,word", [("ko", "한눈에 보기"), ("en", "At a glance")])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_everything_is_on_one_page(chromium, system, size, lang, word):
    chromium.reset(system.url)
    chromium.screen(size, lang=lang)
    sign_in(chromium, system, ADMIN, lang)
    text = chromium.text("main")
    assert word in text and "undefined" not in text and "NaN" not in text and "[object" not in text
    for section in ("signs", "running", "queues", "runs", "schedules", "workers", "dead", "quarantine", "changes"):
        assert chromium.text(f"#{section} h2"), section
    assert chromium.js("return document.documentElement.lang") == lang
    wide, seen = chromium.js("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen
    assert not chromium.complaints()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read_in_both_themes(chromium, system, theme):
    chromium.reset(system.url)
    chromium.screen(DESKTOP, theme=theme, lang="en")
    sign_in(chromium, system, ADMIN)
    assert chromium.js(CONTRAST) == []
    assert not chromium.complaints()


def test_what_happens_shows_without_reloading(page, system):
    before = page.js("return document.querySelectorAll('#runs tbody tr').length")
    system.ctl("call", BATCH, "--wait", "60")
    page.until(f"return document.querySelectorAll('#runs tbody tr').length === {before + 1}", 30, "the new batch")
    r = system.client()
    r.lpush("nobody-takes-this", "x")
    r.lpush("celery", json.dumps({"task": "test.sleep", "args": [60], "id": "sleeper"}))
    page.until("return document.querySelector('#running').innerText.includes('test.sleep')", 30, "the task")
    click(page, "end-sleeper")
    confirm(page)
    page.until("return !document.querySelector('#running').innerText.includes('test.sleep')", 30, "its end")
    wait_for(lambda: b"REVOKED" in (r.get("celery-task-meta-sleeper") or b""), 30, "its result")
    assert "task.revoke" in changes(system)


def test_texts_from_outside_are_text(page, system):
    page.until(f"return document.querySelector('#dead').innerText.includes({json.dumps(HOSTILE)})")
    page.js("document.querySelector('#dead .link').click()")
    page.until("return document.querySelector('dialog[open] .pre') !== null", what="the letter")
    assert HOSTILE in page.text("dialog") and page.js("return window.hacked") is None
    assert page.js("return document.querySelectorAll('img').length") == 0


# ---- changing ----


def test_a_batch_is_started_and_shown_in_full(page, system):
    before = system.pg.value("SELECT count(*) FROM batch_runs")
    click(page, "start-batch")
    confirm(page)
    wait_for(lambda: system.pg.value("SELECT count(*) FROM batch_runs WHERE state = 'success'") > before, 30, "it")
    newest = system.pg.value("SELECT max(id) FROM batch_runs")
    click(page, f"run-{newest}")
    page.until("return document.querySelector('dialog[open]')?.innerText.includes('read')", what="its phases")
    assert "batch.start" in changes(system)


def test_a_schedule_is_paused_with_a_reason_and_resumed(page, system):
    click(page, "pause-prune")
    confirm(page, "the disk is being replaced")
    page.until("return document.querySelector('#schedules').innerText.includes('the disk is being replaced')", 30)
    click(page, "slots-prune")
    page.until("return document.querySelector('dialog[open] #why-slot') !== null", what="its slots")
    page.one("#why-slot").send_keys("12:10")
    page.one("dialog .why button").click()
    page.until("return document.querySelector('dialog .why-answer').innerText.includes('prune')", what="the answer")
    page.one("dialog .dialog-buttons button").click()
    click(page, "pause-prune")
    page.until("return !document.querySelector('#schedules').innerText.includes('being replaced')", 30)
    assert {"schedule.pause", "schedule.resume"} <= set(changes(system))


def test_a_queue_is_emptied_only_by_its_name(page, system):
    r = system.client()
    worker = system.programs[0]
    worker.signal(signal.SIGSTOP)
    try:
        r.lpush("celery", *[json.dumps({"task": "test.add", "args": [1, i], "id": f"add-{i}"}) for i in range(3)])
        page.until("return document.querySelector('#queues tbody .num').textContent === '3'", 30, "the messages")
        click(page, "look-celery")
        page.until("return document.querySelector('dialog[open]')?.innerText.includes('add-0')", what="them")
        page.one("dialog .dialog-buttons button").click()
        click(page, "purge-celery")
        page.until("return document.querySelector('dialog[open]') !== null")
        assert page.js("return document.querySelector('dialog [value=yes]').disabled")
        page.one("dialog .field").send_keys("celer")
        assert page.js("return document.querySelector('dialog [value=yes]').disabled")
        page.one("dialog .field").send_keys("y")
        page.one("dialog [value=yes]").click()
        wait_for(lambda: r.llen("celery") == 0, 30, "the queue to be empty")
    finally:
        worker.signal(signal.SIGCONT)
    wait_for(lambda: "queue.purge" in changes(system), 30, "it in the log of changes")
    assert not r.exists("celery-task-meta-add-0")


def test_workers_grow_and_shrink(page, system):
    name = page.js("return document.querySelector('#workers tbody strong').textContent")
    for verb, children in (("grow", 3), ("shrink", 2)):
        click(page, f"{verb}-{name}")
        page.until(f"return document.querySelector('#workers tbody').innerText.includes('{children} children')", 30)


def test_dead_letters_are_retried_and_dropped(page, system):
    r = system.client()
    handle = page.until("return document.querySelector('#dead .row-actions:not(.card-actions) button')?.dataset.key")
    click(page, handle)  # "retry": it fails again, and is back with its new time
    wait_for(lambda: int(r.hget("aion2:counters", "dead_retried") or 0) == 1 and r.llen("aion2:dead") == 1, 30, "the retry")
    click(page, "dead-drop-all")
    confirm(page)
    page.until("return document.querySelector('#dead').innerText.includes('no dead letters')", 30)
    assert r.llen("aion2:dead") == 0
    assert {"dead.retry", "dead.drop"} <= set(changes(system))


def test_the_focus_comes_back_to_what_was_drawn_anew(page, system):
    """The list under a question changes while it is asked; who uses the keyboard goes on where they were."""
    r = system.client()
    r.lpush("celery", json.dumps({"task": HOSTILE, "id": "dead-2"}))
    key = page.until("return document.querySelector('#dead .row-actions:not(.card-actions) .button-danger')?.dataset.key")
    before = page.js("return document.querySelectorAll('#dead tbody tr').length")
    page.js("document.querySelector(arguments[0]).focus()", f'[data-key="{key}"]')
    click(page, key)
    page.until("return document.querySelector('dialog[open]') !== null", what="the question")
    r.lpush("celery", json.dumps({"task": HOSTILE, "id": "dead-3"}))
    page.until(f"return document.querySelectorAll('#dead tbody tr').length > {before}", 30, "one letter more")
    page.one("dialog [value=no]").click()
    page.until(f"return document.activeElement.dataset.key === '{key}'", what="the focus")


def test_a_change_whose_end_nobody_knows_is_not_said_to_be_done(page, system):
    system.pg.query("INSERT INTO admin_audit (principal, address, action, target)"
                    " VALUES ('env', 'unix', 'batch.start', 'a service died here')")
    page.until("return [...document.querySelectorAll('#changes tbody tr')].some((row) =>"
               " row.innerText.includes('a service died here') && row.innerText.includes('end not known'))", 30, "it")


# ---- who may not ----


def test_a_wrong_token_is_refused_and_the_right_one_is_never_kept_for_others(chromium, system):
    chromium.reset(system.url)
    chromium.screen(DESKTOP, lang="en")
    chromium.open(f"{system.url}/?lang=en")
    chromium.one("#token").send_keys("a2_" + "B" * 43)
    chromium.one("form.enter button").click()
    chromium.until("return document.querySelector('.fault').textContent.includes('not accepted')", 30)
    chromium.complaints()  # the browser logs the 401
    sign_in(chromium, system, ADMIN)
    assert chromium.js("return document.cookie").find("a2_") < 0
    assert chromium.js("return Object.values(localStorage).join().indexOf('a2_')") < 0
    chromium.js("document.getElementById('sign-out').click()")
    chromium.until("return document.getElementById('token') !== null")
    assert chromium.js("return sessionStorage.length") == 0


def test_a_reader_sees_all_and_changes_nothing(chromium, system):
    token = system.token("read")
    chromium.reset(system.url)
    chromium.screen(DESKTOP, lang="en")
    wait_for(lambda: harness.run_program("aion2ctl", "token", "list", env=system.env).returncode == 0, 10, "the token")
    chromium.open(f"{system.url}/?lang=en")

    def entered():
        chromium.js("document.getElementById('token').value = arguments[0]", token)
        chromium.js("document.querySelector('form.enter button').click()")
        try:
            chromium.until("return document.querySelector('#runs .table') !== null", 2)
            return True
        except AssertionError:
            return False

    wait_for(entered, 20, "the token being known")
    chromium.complaints()  # tries before that are 401s in the console
    before = changes(system)
    off = chromium.js("return [...document.querySelectorAll('#running button, #workers button, #quarantine .row-actions button')]"
                      ".map(b => b.getAttribute('aria-disabled'))")
    assert off and set(off) == {"true"}
    click(chromium, "start-batch")
    assert chromium.js("return document.querySelector('dialog[open]')") is None
    assert changes(system) == before and not chromium.complaints()


def test_without_postgresql_it_goes_on_and_says_so(page, system):
    page.allowed = ["503"]
    system.pg.stop("immediate")
    try:
        page.until("return document.querySelector('#signs').innerText.includes('does not answer')", 40)
        assert "celery" in page.text("#queues")
    finally:
        system.pg.start()
    page.until("return !document.querySelector('#signs').innerText.includes('does not answer')", 40)
