"""Storms: everything is killed at random under a mixed load; every task ends, every count is right.

appendfsync=always: what Redis has acknowledged survives its SIGKILL, so nothing may be missing. With
everysec the kernel has what Redis wrote, also after a SIGKILL of Redis, but Redis puts a write off for up to two
seconds while the disk is slow: only what was acknowledged in that time can be lost.
"""

import os

import pytest

import storm
from harness import TIMEOUT_SCALE
from jobs import Jobs, worker_env

SOAK_S = float(os.environ.get("AION2_SOAK_SECONDS", "120")) * TIMEOUT_SCALE
PROCESS_DEEDS = {"kill_child": 5, "kill_worker": 2, "kill_beat": 2}
ALL_DEEDS = {**PROCESS_DEEDS, "restart_redis": 2}


@pytest.fixture
def fleet(spawn, pg, make_redis):
    """Starts a Redis, three workers and two beats: fleet(appendfsync="always")."""

    def start(**options):
        server = make_redis(appendonly=True, options=options)
        env = worker_env(server, pg.url, WORKER_CONCURRENCY="3", LOG_LEVEL="info")
        workers = [spawn("aion2-worker", env=env) for _ in range(3)]
        beat_env = {"REDIS_URL": server.url, "BATCH_INTERVAL": "1"}
        beats = [spawn("aion2-beat", env=beat_env) for _ in range(2)]
        return server, workers, beats

    return start


def sent_by_beats(jobs):
    return sum(n for name, n in jobs.counters().items() if name.startswith("sent:"))


def run_storm(fleet, messages, seconds, deeds, pause_s, seed, **redis_options):
    server, workers, beats = fleet(**redis_options)
    load = storm.Load(server.client, seed)
    doer = storm.Deeds(load.dice, workers, beats, [server])
    storm.rage(load, doer, deeds, messages, seconds, pause_s)
    jobs = Jobs(server)
    for beat in beats:
        assert beat.stop() == 0
    storm.settle(jobs, 60 + messages / 50)
    given_up = storm.judge(load, jobs, workers, list(load.expected))
    assert given_up <= doer.done.get("kill_child", 0)
    assert jobs.balance() == 0, jobs.counters()
    assert jobs.counter("done") == len(load.expected) + sent_by_beats(jobs)
    assert jobs.counter("quarantined") == load.unreadable
    assert set(doer.done) == set(deeds) and jobs.counter("recovered")  # or nothing was tested
    for worker in workers:
        assert worker.stop() == 0


def test_processes_killed_at_random(fleet):
    run_storm(fleet, messages=800, seconds=4, deeds=PROCESS_DEEDS, pause_s=0.15, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_killed_for_two_minutes(fleet):
    run_storm(fleet, messages=20_000, seconds=SOAK_S, deeds=ALL_DEEDS, pause_s=1.5, seed=2,
              appendfsync="always")


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_killed_with_a_flush_every_second(fleet):
    run_storm(fleet, messages=5_000, seconds=SOAK_S / 2, deeds=ALL_DEEDS, pause_s=1.5, seed=3,
              appendfsync="everysec")
