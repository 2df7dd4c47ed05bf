"""The source with Redis: several processes that behave as one, and what is known of the site's mood."""

import json
import subprocess
import threading

import pytest

import harness
from source_site import SourceSite
import source_site as site_
from test_source_site import Answer, FOUND, NOT_FOUND, RESTING, UNAVAILABLE, run_probe

GATE, LOOKUP, GONE = "aion2:source", "aion2:source:lookup:", "aion2:source:gone:"


@pytest.fixture
def site():
    site = SourceSite("tw", ["13", "15", "16", "17", "30"])
    yield site
    site.close()


@pytest.fixture
def redis(redis_server):
    return redis_server.client()


class Probe:
    """One process that asks; its answers when it has ended."""

    def __init__(self, env, questions):
        self.process = subprocess.Popen(
            [str(harness.bin_dir() / "source_probe"), "ask"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=harness.clean_env(env), encoding="utf-8",
        )
        self.ask(*questions)

    def ask(self, *questions):
        self.process.stdin.write("".join("\t".join(q) + "\n" for q in questions))
        self.process.stdin.flush()

    def answer(self):
        """The next one, while the process goes on."""
        return Answer(json.loads(self.process.stdout.readline()))

    def answers(self):
        out, self.log = self.process.communicate(timeout=60 * harness.TIMEOUT_SCALE)
        assert self.process.returncode == 0, self.log
        docs = sorted(map(json.loads, out.splitlines()), key=lambda d: d["n"])
        return [Answer(d) for d in docs]


@pytest.fixture
def start(site, redis_server):
    probes = []

    def run(*questions, **settings):
        probes.append(Probe(site.env(REDIS_URL=redis_server.url, **settings), questions))
        return probes[-1]

    yield run
    for p in probes:
        if p.process.poll() is None:
            p.process.kill()
        p.process.wait()


def asks(*people, kind="lookup"):
    return [(kind, p.server, p.name) for p in people]


def assert_pace(site, interval):
    """On the whole: a single request may reach the site late. test_source_gate.py has the exact gaps."""
    took = site.requests[-1].began - site.requests[0].began
    assert took > (site.count() - 1) * interval - 0.3


# ------------------------------------------------------------------------------ one pace for all


def test_several_processes_keep_one_pace_and_one_request_at_a_time(site, start):
    people = list(site.people.values())[:4]
    probes = [start(*asks(*people[i::2], kind="sheet"), SOURCE_INTERVAL_MS=30) for i in range(2)]
    answers = [a for p in probes for a in p.answers()]
    assert [a.outcome for a in answers] == [FOUND] * len(people)
    assert len({r.client for r in site.requests}) == 2
    assert site.most_at_once == 1
    assert_pace(site, 0.03)


def test_slow_answers_are_waited_for(site, start):
    """The next request goes out when the last one has been answered, however short the interval is."""
    site.delay = 0.1
    people = list(site.people.values())
    for p in [start(*asks(person)) for person in people]:
        assert [a.outcome for a in p.answers()] == [FOUND]
    assert site.most_at_once == 1


def test_a_second_between_requests_is_the_default(site, start, redis):
    person = site.person("13")
    env = {k: v for k, v in site.env(REDIS_URL="").items() if k != "SOURCE_INTERVAL_MS"}
    (answer,), _ = run_probe(env, *asks(person))
    assert answer.outcome == FOUND
    assert_pace(site, 1)


def test_a_process_that_dies_with_a_request_under_way(site, start, redis):
    site.delay = 30
    first = start(*asks(site.person("13")), SOURCE_TIMEOUT_MS=300)
    harness.wait_for(lambda: site.count() == 1, what="the first request")
    first.process.kill()
    first.process.wait()
    assert redis.hexists(GATE, "flight_id")
    site.delay = 0
    # The lease is the time a request may take and 5 s; here it is over.
    redis.hset(GATE, "flight_until_ms", 1)
    assert start(*asks(site.person("15"))).answers()[0].outcome == FOUND


def test_an_answer_that_comes_too_late_lets_others_go_on(site, start, redis):
    """Whoever gives up tells the gate and gives the claim back."""
    site.delay = 30
    person = site.person("13")
    (answer,) = start(*asks(person), LOOKUP_MS=700).answers()
    assert answer.outcome == UNAVAILABLE and "in time" in answer.reason
    assert redis.hget(GATE, "given_up") == b"1" and not redis.hexists(GATE, "flight_id")
    site.delay = 0
    redis.delete(*redis.scan_iter(LOOKUP + "*"))
    assert start(*asks(person)).answers()[0].outcome == FOUND


def test_a_sheet_that_takes_too_long_keeps_what_it_has(site, start, redis):
    site.on("item", site_.edit(lambda doc: None), times=6)
    site.on("item", site_.drip(1))
    (answer,) = start(*asks(site.person("13"), kind="sheet"), SHEET_MS=5000).answers()
    assert answer.outcome == UNAVAILABLE and "in time" in answer.reason
    assert answer.stats["mode"] == "profile" and len(answer.raw["items"]) == 6
    assert redis.hget(GATE, "given_up") == b"1" and not redis.hexists(GATE, "flight_id")


def test_too_many_for_one_pace(site, start):
    """Who would wait for longer than somebody has patience is told so at once."""
    questions = [("lookup", "Siel", f"nobody{i}") for i in range(6)]
    answers = start(*questions, SOURCE_INTERVAL_MS=2000).answers()
    outcomes = [a.outcome for a in answers]
    assert outcomes.count("crowded") == 3 and outcomes.count(NOT_FOUND) == 3
    assert all(5000 < a.retry_after_ms <= 8000 for a in answers if a.outcome == "crowded")


# ------------------------------------------------------------------------------- rests


def test_a_rest_is_everybodys(site, start, redis):
    person = site.person("13")
    site.on("search", site_.status(429, retry_after=100), times=1)
    assert start(*asks(person)).answers()[0].outcome == RESTING
    (answer,) = start(*asks(site.person("15"))).answers()
    assert answer.outcome == RESTING and 90_000 < answer.retry_after_ms <= 100_000
    (answer,) = start(*asks(person, kind="sheet")).answers()
    assert answer.outcome == RESTING
    assert site.count() == 1
    state = redis.hgetall(GATE)
    assert state[b"rest_reason"] == b"busy" and state[b"busy"] == b"1"


def test_a_rest_doubles_until_an_answer_is_good(site, start, redis):
    site.on("search", site_.html(), times=2)
    rests = []
    for person in list(site.people.values())[:3]:
        (answer,) = start(*asks(person)).answers()
        rests.append(answer.retry_after_ms)
        redis.hset(GATE, "rest_until_ms", 1)  # time goes by
    assert 50_000 < rests[0] <= 60_000 and 110_000 < rests[1] <= 120_000
    assert answer.outcome == FOUND
    assert not redis.hexists(GATE, "failures") and not redis.hexists(GATE, "rests")


def test_a_request_that_was_waiting_when_the_rest_began_is_not_sent(site, start):
    site.on("search", site_.status(429), times=1)
    site.delay = 0.2
    people = list(site.people.values())
    probes = [start(*asks(p), SOURCE_INTERVAL_MS=100) for p in people[:3]]
    assert [p.answers()[0].outcome for p in probes] == [RESTING] * 3
    assert site.count() == 1


# -------------------------------------------------------------------------- equal lookups are one


def test_equal_lookups_of_several_processes_are_one(site, start, redis):
    site.delay = 0.3
    person = site.person("15")
    probes = [start(*asks(person)) for _ in range(3)]
    answers = [p.answers()[0] for p in probes]
    assert [a.outcome for a in answers] == [FOUND] * 3
    assert answers[0].doc == answers[1].doc == answers[2].doc
    assert site.kinds() == ["search", "info"]
    assert all(redis.pttl(k) <= 2000 for k in redis.scan_iter(LOOKUP + "*"))


def test_a_failure_is_shared_as_well(site, start):
    site.delay = 0.3
    site.on("info", site_.status(500))
    probes = [start(*asks(site.person("15"))) for _ in range(2)]
    assert [p.answers()[0].outcome for p in probes] == [UNAVAILABLE] * 2
    assert site.kinds() == ["search", "info"]


def test_the_claim_of_a_dead_process_ends(site, start, redis):
    site.delay = 30
    person = site.person("15")
    key = f"{LOOKUP}tw:{person.server}:{person.name}"
    first = start(*asks(person))
    harness.wait_for(lambda: site.count() == 1, what="the first request")
    assert redis.get(key).startswith(b"L") and 0 < redis.pttl(key) <= 25_000
    second = start(*asks(person))
    first.process.kill()
    first.process.wait()
    site.delay = 0
    redis.delete(key, GATE)  # what time does
    assert second.answers()[0].outcome == FOUND


# --------------------------------------------------------------------- who was not found


def test_nobody_is_remembered_for_a_while(site, start, redis):
    for _ in range(3):
        (answer,) = start(("lookup", "Siel", "nobody")).answers()
        assert answer.outcome == NOT_FOUND and "no such character" in answer.reason
    assert site.count() == 1
    assert 290_000 < redis.pttl(GONE + "tw:Siel:nobody") <= 300_000
    assert not redis.exists(LOOKUP + "tw:Siel:nobody")


BAD_DAYS = {
    "html": site_.html(), "429": site_.status(429), "500": site_.status(500), "404_route": site_.status(404, doc=site_.GONE_ROUTE),
    "empty": site_.empty(), "redirect": site_.redirect(), "cut": site_.cut(), "wrong": site_.raw(b"{}"), "400": site_.status(400),
}


@pytest.mark.parametrize("kind", ["search", "info"])
@pytest.mark.parametrize("case", BAD_DAYS)
def test_unavailable_is_never_remembered_as_not_found(site, start, redis, kind, case):
    person = site.person("15")
    site.on(kind, BAD_DAYS[case])
    assert start(*asks(person)).answers()[0].outcome in (UNAVAILABLE, RESTING)
    assert not list(redis.scan_iter(GONE + "*"))
    site.behave()
    redis.delete(GATE, *redis.scan_iter(LOOKUP + "*"))
    assert start(*asks(person)).answers()[0].outcome == FOUND


def test_nobody_is_remembered_without_redis_too(site):
    env = site.env(REDIS_URL="")
    script = [("lookup", "Siel", "nobody")] * 2
    answers, _ = run_probe(env, *script)
    assert [a.outcome for a in answers] == [NOT_FOUND] * 2
    assert site.count() == 1


# ----------------------------------------------------------------------------- Redis goes away


def test_without_redis_it_goes_on_and_says_so_once(site, redis_server):
    redis_server.kill()
    people = list(site.people.values())
    env = site.env(REDIS_URL=redis_server.url, SOURCE_INTERVAL_MS=100)
    answers, log = run_probe(env, *asks(*people))
    assert [a.outcome for a in answers] == [FOUND] * len(people)
    assert log.count("event=source.pace kept_by=process") == 1
    assert_pace(site, 0.1)
    assert site.most_at_once == 1


def test_redis_dies_and_comes_back_within_a_sheet(site, start, redis_server):
    site.delay = 0.05
    probe = start(*asks(site.person("15"), kind="sheet"))
    harness.wait_for(lambda: site.count() >= 5, what="some requests")
    redis_server.kill()
    at = site.count()
    harness.wait_for(lambda: site.count() >= at + 5, what="requests without Redis")
    redis_server.start()
    (answer,) = probe.answers()
    assert answer.outcome == FOUND
    assert probe.log.count("kept_by=process") == 1 and probe.log.count("kept_by=redis") == 1
    assert site.most_at_once == 1


def test_a_rest_holds_in_the_process_when_redis_dies(site, start, redis_server):
    first, second = site.person("15"), site.person("13")
    release = threading.Event()

    def hold(request, answer):
        release.wait(20)
        return site_.status(429)(request, answer)

    site.on("item", hold, times=1)
    # The second sheet's next request waits at the gate meanwhile, and comes too late.
    probe = start(*asks(first, second, kind="sheet"), SOURCE_TIMEOUT_MS=30000)
    harness.wait_for(lambda: site.count("item") == 1, what="the first item")
    redis_server.kill()
    release.set()
    assert [a.outcome for a in probe.answers()] == [RESTING] * 2
    assert site.kinds().count("item") == 1


def test_a_rest_that_redis_did_not_hear_of_is_told_when_it_is_back(site, start, redis_server):
    probe = start(("lookup", "Siel", "nobody"))
    assert probe.answer().outcome == NOT_FOUND
    redis_server.kill()
    site.on("search", site_.status(429, retry_after=300), times=1)
    probe.ask(*asks(site.person("15")))
    assert probe.answer().outcome == RESTING
    redis_server.start()
    client = redis_server.client()

    def asked_again():
        probe.ask(*asks(site.person("13")))
        assert probe.answer().outcome == RESTING
        return client.hget(GATE, "rest_reason")

    assert harness.wait_for(asked_again, what="the news in Redis") == b"busy"
    assert site.count() == 2
    (answer,) = start(*asks(site.person("16"))).answers()
    assert answer.outcome == RESTING and 200_000 < answer.retry_after_ms <= 300_000
    assert probe.answers() == []


def test_a_rest_that_redis_told_of_holds_when_it_is_away(site, start, redis_server):
    client = redis_server.client()
    client.hset(GATE, "rest_until_ms", int(client.time()[0] + 500) * 1000)
    probe = start(*asks(site.person("15")))
    assert probe.answer().outcome == RESTING
    redis_server.kill()
    probe.ask(*asks(site.person("13")))
    answer = probe.answer()
    assert answer.outcome == RESTING and 400_000 < answer.retry_after_ms < 500_000
    assert site.count() == 0
    assert probe.answers() == []
