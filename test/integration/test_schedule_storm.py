"""Two hundred schedules with a slot every second, three beats, and whatever happens to them."""

import collections
import os
import random
import time

import pytest

from harness import wait_for
from schedules import define, ledger, now, sent

SCHEDULES = 200


def names():
    return [f"s{i:03}" for i in range(SCHEDULES)]


@pytest.fixture
def server(make_redis):
    return make_redis(appendonly=True)


def define_all(server, **members):
    """They all begin at one moment that is still to come."""
    begin = now(server) + 3
    for name in names():
        define(server, name, task=f"t.{name}", every=1, overlap="queue", since=begin, **members)
    return begin


def start_beats(spawn, server, n=3):
    # A day's interval keeps the batch out of the way.
    env = {"REDIS_URL": server.url, "BATCH_INTERVAL": 86400, "LOG_LEVEL": "warn"}
    return [spawn("aion2-beat", env) for _ in range(n)]


def slots_by_task(server):
    found = collections.defaultdict(list)
    for m in sent(server):
        found[m["headers"]["task"]].append(m["headers"]["aion2_slot"])
    return found


def last_slots(server):
    last = server.client().hmget("aion2:beat:last", names())
    return [int(v or 0) for v in last]


def storm(spawn, server, seconds, rng):
    """Kills a beat every now and then; one is always left. Returns the last slot of all."""
    beats = start_beats(spawn, server)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(rng.uniform(0.05, 0.4))
        victim = rng.choice(beats)
        victim.kill() if rng.random() < 0.7 else victim.stop()
        victim.start()
    end = now(server) + 2
    wait_for(lambda: min(last_slots(server)) >= end, 30, "a last slot of everybody")
    for beat in beats:
        beat.kill()
    return min(last_slots(server))


def assert_every_slot_once(server, begin, end):
    """No slot of any schedule is there twice, none is missing, and the ledgers know them all."""
    found = slots_by_task(server)
    for name in names():
        slots = [s for s in found[f"t.{name}"] if s <= end]
        missed = sum(e["missed"] for e in ledger(server, name))
        assert len(set(slots)) == len(slots), f"{name}: a slot twice"
        assert slots == list(range(begin, end + 1)), (
            f"{name}: missing {sorted(set(range(begin, end + 1)) - set(slots))[:5]}, {missed=}")
        assert [e["slot"] for e in ledger(server, name)] == found[f"t.{name}"]
    counters = server.client().hgetall("aion2:counters")
    assert all(int(counters[b"sent:" + n.encode()]) == len(found[f"t.{n}"]) for n in names())


# "all" makes up for what passes while the machine itself stands still.
ALL = {"missed": "all", "missed_max": 60}


@pytest.mark.parametrize("policy", [ALL], ids=["all"])
def test_no_slot_twice_and_none_missing(server, spawn, policy):
    begin = define_all(server, **policy)
    end = storm(spawn, server, 8, random.Random(7))
    assert_every_slot_once(server, begin, end)


@pytest.mark.soak
def test_no_slot_twice_and_none_missing_for_a_minute(server, spawn):
    seed = int(os.environ.get("AION2_SEED", time.time_ns() % 10**9))
    print(f"AION2_SEED={seed}")
    begin = define_all(server, **ALL)
    end = storm(spawn, server, float(os.environ.get("AION2_SOAK_SECONDS", "60")),
                random.Random(seed))
    assert_every_slot_once(server, begin, end)


def test_every_beat_dies_and_redis_restarts(server, spawn):
    """What passed meanwhile is made up for as the schedules say: here, all of it."""
    begin = define_all(server, **ALL)
    for _ in range(2):
        beats = start_beats(spawn, server)
        seen = now(server)
        wait_for(lambda s=seen: min(last_slots(server)) >= max(s, begin), 30, "slots")
        for beat in beats:
            beat.kill()
        server.restart()
    end = storm(spawn, server, 1, random.Random(8))
    assert_every_slot_once(server, begin, end)


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.soak
def test_what_it_costs(server, spawn):
    """Prints the share of a processor; the bound only catches what is wrong by an order."""
    begin = define_all(server)
    beats = start_beats(spawn, server)
    wait_for(lambda: min(last_slots(server)) >= begin + 2, 30, "slots")
    watched = [*beats, server.proc]
    before, since = [cpu_seconds(p.pid) for p in watched], time.monotonic()
    last = min(last_slots(server))
    wait_for(lambda: min(last_slots(server)) >= last + 15, 40, "slots")
    took = time.monotonic() - since
    used = [(cpu_seconds(p.pid) - b) / took * 100 for p, b in zip(watched, before)]
    late = [e["sent_at"] - e["slot"] for n in names() for e in ledger(server, n)][-3000:]
    late.sort()
    print("percent of a processor: beats", [f"{u:.2f}" for u in used[:3]], f"redis {used[3]:.2f};",
          f"late: p50 {late[len(late) // 2] * 1000:.1f} ms, p99 {late[len(late) * 99 // 100] * 1000:.1f} ms")
    assert max(used) < 50
