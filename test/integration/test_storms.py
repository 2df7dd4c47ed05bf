"""Storms: everything is killed at random under a mixed load; every task ends, every count is right.

appendfsync=always: what Redis has acknowledged survives its SIGKILL, so nothing may be missing. With
everysec the kernel has what Redis wrote, also after a SIGKILL of Redis, but Redis puts a write off for up to two
seconds while the disk is slow: only what was acknowledged in that time can be lost. What Redis still knows to have
been sent must end even then.
"""

import os

import pytest

import storm
from harness import TIMEOUT_SCALE
from jobs import Jobs, worker_env
from sentinel import SentinelLab

SOAK_S = float(os.environ.get("AION2_SOAK_SECONDS", "120")) * TIMEOUT_SCALE
PROCESS_DEEDS = {"kill_child": 5, "kill_worker": 2, "kill_beat": 2}
ALL_DEEDS = {**PROCESS_DEEDS, "restart_redis": 2}


FAILOVER_DEEDS = {**PROCESS_DEEDS, "kill_master": 2, "failover": 1}


@pytest.fixture
def fleet(spawn, pg):
    """Starts three workers and two beats for a server (anything with a url)."""

    def start(server):
        env = worker_env(server, pg.url, WORKER_CONCURRENCY="3", LOG_LEVEL="info")
        workers = [spawn("aion2-worker", env=env) for _ in range(3)]
        beat_env = {"REDIS_URL": server.url, "BATCH_INTERVAL": "1"}
        beats = [spawn("aion2-beat", env=beat_env) for _ in range(2)]
        return workers, beats

    return start


@pytest.fixture
def lab():
    lab = SentinelLab()
    yield lab
    lab.destroy()


def sent_by_beats(jobs):
    return sum(n for name, n in jobs.counters().items() if name.startswith("sent:"))


def judge(jobs, load, doer, deeds, ids):
    """Every task of ids has ended as it should and everything has been counted once."""
    for beat in doer.beats:
        assert beat.stop() == 0
    storm.settle(jobs, 60 + len(ids) / 50)
    given_up, unlogged = storm.judge(load, jobs, doer.workers, ids)
    assert given_up <= doer.done.get("kill_child", 0)
    assert unlogged <= doer.done.get("kill_worker", 0)
    jobs.audit()
    assert jobs.counter("done") == len(ids) + sent_by_beats(jobs)
    assert set(doer.done) == set(deeds)  # or something was not tested
    for worker in doer.workers:
        assert worker.stop() == 0


def run_storm(fleet, server, messages, seconds, deeds, pause_s, seed):
    workers, beats = fleet(server)
    load = storm.Load(server.client, seed)
    doer = storm.Deeds(load.dice, workers, beats, [server])
    storm.rage(load, doer, deeds, messages, seconds, pause_s)
    jobs = Jobs(server)
    ids, unreadable = load.survivors(), load.unreadable_survivors()
    print(f"Redis forgot {len(load.expected) - len(ids)} of {len(load.expected)} messages")
    if server.options.get("appendfsync") != "everysec":
        assert (len(ids), unreadable) == (len(load.expected), load.unreadable)
    judge(jobs, load, doer, deeds, ids)
    assert jobs.counter("quarantined") == unreadable
    assert jobs.counter("recovered") > 0


def run_failover_storm(fleet, lab, messages, seconds, deeds, pause_s, seed):
    """What Redis lost is known by the notes that the messages were sent with; the rest must end."""
    workers, beats = fleet(lab)
    load = storm.Load(lab.client, seed)
    doer = storm.SentinelDeeds(load.dice, workers, beats, lab)
    storm.rage(load, doer, deeds, messages, seconds, pause_s)
    doer.mend()
    load.client = lab.client()
    ids = load.survivors()
    print(f"Redis lost {len(load.expected) - len(ids)} of {len(load.expected)} messages sent")
    jobs = Jobs(lab)
    judge(jobs, load, doer, deeds, ids)
    print(f"and forgot {jobs.counter('redis_lost')} steps that it had acknowledged")


def test_processes_killed_at_random(fleet, redis_server):
    run_storm(fleet, redis_server, messages=800, seconds=4, deeds=PROCESS_DEEDS, pause_s=0.15,
              seed=1)


def test_a_master_killed_among_others(fleet, lab):
    run_failover_storm(fleet, lab, messages=800, seconds=4, pause_s=0.7, seed=4,
                       deeds={"kill_child": 1, "kill_worker": 1, "kill_master": 1})


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_killed_for_two_minutes(fleet, make_redis):
    server = make_redis(appendonly=True)
    run_storm(fleet, server, messages=20_000, seconds=SOAK_S, deeds=ALL_DEEDS, pause_s=1.5, seed=2)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_killed_with_a_flush_every_second(fleet, make_redis):
    server = make_redis(appendonly=True, options={"appendfsync": "everysec"})
    run_storm(fleet, server, messages=5_000, seconds=SOAK_S / 2, deeds=ALL_DEEDS, pause_s=1.5,
              seed=3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_killed_around_sentinels_for_two_minutes(fleet, lab):
    run_failover_storm(fleet, lab, messages=20_000, seconds=SOAK_S, deeds=FAILOVER_DEEDS,
                       pause_s=2, seed=5)
