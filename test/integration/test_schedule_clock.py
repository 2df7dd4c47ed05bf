"""When slots are: crontabs against an oracle of its own, daylight saving, a clock that is put."""

import json
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab_parser

from harness import run_program, wait_for
from schedules import Clock, define, ledger, now, slots_of

SEED = 20261123
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Seoul", "UTC", "Australia/Lord_Howe",
         "America/Havana", "Africa/Casablanca", "Pacific/Chatham", "America/Sao_Paulo",
         "Antarctica/Troll"]


def slots(cron, zone, start, end):
    """What our programs say, [start, end)."""
    done = run_program("aion2ctl", "schedule", "next", "--cron", cron, "--tz", zone, "--from", start,
                       "-n", 10000, "--json", check=True)
    return [s for s in json.loads(done.stdout) if s < end]


def expected(cron, zone, start, end):
    """Walks the real minutes and looks at the clock on the wall (Celery's own reader of fields)."""
    fields = zip(cron.split(), [(60, 0), (24, 0), (31, 1), (12, 1), (7, 0)])
    minutes, hours, days, months, weekdays = (crontab_parser(*span).parse(f) for f, span in fields)
    zone = ZoneInfo(zone)

    def matches(t):
        return (t.minute in minutes and t.hour in hours and t.day in days and t.month in months
                and t.isoweekday() % 7 in weekdays)

    found, shown, last = set(), set(), None
    for unix in range(start - start % 60 - 3 * 86400, end, 60):
        wall = datetime.fromtimestamp(unix, zone).replace(tzinfo=None, fold=0)
        if len(hours) == 24:
            if matches(wall):
                found.add(unix)
            continue
        left_out = last + timedelta(minutes=1) if last else wall
        while left_out < wall:  # a gap: what would have been fires now
            if left_out not in shown and matches(left_out):
                found.add(unix)
            shown.add(left_out)
            left_out += timedelta(minutes=1)
        if wall not in shown and matches(wall):
            found.add(unix)
        shown.add(wall)
        last = max(wall, last) if last else wall
    return sorted(s for s in found if s >= start)


def unix(*date):
    return int(datetime(*date, tzinfo=timezone.utc).timestamp())


def random_field(rng, low, high):
    def value():
        return str(rng.randint(low, high))

    kind = rng.random()
    if kind < 0.35:
        return "*"
    if kind < 0.5:
        return f"*/{rng.randint(1, high)}"
    items = [rng.choice([value(), f"{value()}-{value()}", f"{value()}-{value()}/{rng.randint(1, 9)}"])
             for _ in range(rng.randint(1, 3))]
    return ",".join(items)


@pytest.mark.parametrize("part", range(4))
def test_random_crontabs_around_changes_of_the_clock(part):
    rng = random.Random(SEED + part)
    changes = [(3, 8), (3, 25), (10, 25), (11, 1), (4, 1), (10, 1), (12, 29), (2, 14), (11, 7)]
    for _ in range(25):
        zone = rng.choice(ZONES)
        hour = rng.choice([random_field(rng, 0, 23), "1", "2", "1-3", "0", "3,2", "*", "*/2"])
        cron = " ".join([random_field(rng, 0, 59), hour,
                         rng.choice(["*", random_field(rng, 1, 31)]),
                         rng.choice(["*", random_field(rng, 1, 12)]),
                         rng.choice(["*", random_field(rng, 0, 6)])])
        start = unix(rng.choice([2014, 2018, 2024, 2025, 2026, 2027]), *rng.choice(changes))
        start += rng.randint(-86400, 86400)
        end = start + rng.choice([3, 6]) * 86400
        assert slots(cron, zone, start, end) == expected(cron, zone, start, end), (cron, zone, start)


def local(cron, zone, start, days):
    start = unix(*start)
    return [datetime.fromtimestamp(s, ZoneInfo(zone)).strftime("%d %H:%M %z")
            for s in slots(cron, zone, start, start + days * 86400)]


def test_spring_in_berlin():
    assert local("30 2 * * *", "Europe/Berlin", (2026, 3, 28), 3) == [
        "28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]
    assert local("30 * * * *", "Europe/Berlin", (2026, 3, 29), 1)[:3] == [
        "29 01:30 +0100", "29 03:30 +0200", "29 04:30 +0200"]


def test_autumn_in_new_york():
    assert local("30 1 * * *", "America/New_York", (2026, 10, 31, 4), 3) == [
        "31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"]
    assert local("30 * * * *", "America/New_York", (2026, 11, 1, 4), 1)[:4] == [
        "01 00:30 -0400", "01 01:30 -0400", "01 01:30 -0500", "01 02:30 -0500"]


def test_seoul_has_no_summer_time():
    year = slots("0 9 * * *", "Asia/Seoul", unix(2026, 1, 1), unix(2027, 1, 1))
    assert len(year) == 365 and {b - a for a, b in zip(year, year[1:])} == {86400}
    assert year[0] == unix(2026, 1, 1)


def test_years_of_nights():
    """One fixed time a day is one slot a day, whatever the clock does."""
    for zone in ("Europe/Berlin", "America/New_York", "Asia/Seoul"):
        found = slots("30 2 * * *", zone, unix(2020, 1, 1, 12), unix(2030, 1, 1, 12))
        assert len(found) == 3653 and len(set(found)) == 3653


# ------------------------------------------------------------------------- Redis' clock is put


@pytest.fixture
def clock(make_redis, tmp_path):
    return Clock(make_redis, tmp_path)


def beats(spawn, server, n=2):
    return [spawn("aion2-beat", {"REDIS_URL": server.url}) for _ in range(n)]


def run_until(server, task, count):
    wait_for(lambda: len(slots_of(server, task)) >= count, 30, f"{count} slots of {task}")


def why(server, at, schedule):
    done = run_program("aion2ctl", "why", at, "--schedule", schedule, "--json",
                       env={"REDIS_URL": server.url}, check=True)
    return json.loads(done.stdout)


def test_the_clock_jumps_an_hour_forward(clock, spawn):
    server = clock.redis
    define(server, "tick", task="t.tick", every=2, overlap="queue")
    beats(spawn, server)
    run_until(server, "t.tick", 3)
    clock.put(3600)
    run_until(server, "t.tick", 7)
    got = slots_of(server, "t.tick")
    assert got == sorted(set(got)) and all(s % 2 == 0 for s in got)
    steps = [b - a for a, b in zip(got, got[1:])]
    assert sum(s > 1800 for s in steps) == 1  # one message for all of the hour
    jump = next(e for e in ledger(server, "tick") if e["missed"] > 1000)
    told = why(server, jump["slot"] - 1000, "tick")
    assert told["verdict"] == "missed" and "clock jumped forward by" in told["text"]


def test_the_clock_jumps_an_hour_back(clock, spawn):
    """The hour comes again; its slots were sent, so they are not sent again."""
    server = clock.redis
    clock.put(3590)
    define(server, "tick", task="t.tick", every=2, overlap="queue")
    beats(spawn, server)
    run_until(server, "t.tick", 4)
    clock.put(0)
    last = slots_of(server, "t.tick")[-1]
    wait_for(lambda: now(server) < last - 3000 and "event=redis.clock_step" in beat_logs(spawn),
             what="the step to be seen")
    before = slots_of(server, "t.tick")
    clock.put(3590 + 10)  # and on from where it was
    run_until(server, "t.tick", len(before) + 3)
    got = slots_of(server, "t.tick")
    assert got == sorted(set(got))


def beat_logs(spawn):
    return "".join(p.log() for p in spawn.programs)


def test_a_wrong_hour_is_taken_back(clock, spawn):
    """Slots that the clock had jumped over are sent when their time comes after all, each once."""
    server = clock.redis
    define(server, "tick", task="t.tick", every=2, overlap="queue")
    beats(spawn, server)
    run_until(server, "t.tick", 3)
    clock.put(3600)
    run_until(server, "t.tick", 6)
    clock.put(0)
    run_until(server, "t.tick", 10)
    got = slots_of(server, "t.tick")
    assert len(set(got)) == len(got)
    real = [s for s in got if s < now(server) + 60]
    assert real == sorted(real)
    # Nothing that began since the start is missing, but for what passed while the clock was wrong.
    assert sum(b - a > 2 for a, b in zip(real, real[1:])) <= 1


def put_before(clock, date, seconds):
    """So many seconds before a moment."""
    clock.put(0)
    clock.put(unix(*date) - seconds - now(clock.redis))


@pytest.mark.parametrize("zone, date, wall", [
    ("Europe/Berlin", (2027, 3, 28, 1), "30 2 * * *"),       # 02:00 to 03:00 is left out
    ("America/New_York", (2027, 3, 14, 7), "30 2 * * *"),
])
def test_beats_on_a_night_in_spring(clock, spawn, zone, date, wall):
    put_before(clock, date, 3)
    define(clock.redis, "fixed", task="t.fixed", cron=wall, tz=zone, since=now(clock.redis))
    beats(spawn, clock.redis)
    run_until(clock.redis, "t.fixed", 1)
    assert slots_of(clock.redis, "t.fixed") == [unix(*date)]


@pytest.mark.parametrize("zone, date", [
    ("Europe/Berlin", (2027, 10, 31, 0, 30)),     # 02:30, and an hour later again
    ("America/New_York", (2027, 11, 7, 5, 30)),   # 01:30
])
def test_beats_on_a_night_in_autumn(clock, spawn, zone, date):
    server, first = clock.redis, unix(*date)
    hour = datetime.fromtimestamp(first, ZoneInfo(zone)).hour
    put_before(clock, date, 3)
    begin = now(server)
    define(server, "fixed", task="t.fixed", cron=f"30 {hour} * * *", tz=zone, since=begin)
    define(server, "hourly", task="t.hourly", cron="30 * * * *", tz=zone, since=begin, overlap="queue")
    beats(spawn, server)
    run_until(server, "t.fixed", 1)
    run_until(server, "t.hourly", 1)
    clock.put(0)
    clock.put(first + 3600 - 3 - now(server))
    run_until(server, "t.hourly", 2)
    assert slots_of(server, "t.hourly") == [first, first + 3600]
    wait_for(lambda: now(server) >= first + 3602)
    assert slots_of(server, "t.fixed") == [first]
