"""The connection to Redis: silent deaths, outages one after the other, what is refused at the start."""

import collections
import json
import subprocess
import threading
import time

import pytest

import harness
from harness import free_port, wait_for
from jobs import Jobs, slots_of, worker_env
from proxy import Proxy

# ------------------------------------------------------------------------------ silent deaths


@pytest.fixture
def proxy(redis_server):
    made = Proxy(redis_server.port)
    yield made
    made.close()


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def lost(program, role):
    """How many connections of a role were given up because nothing came."""
    return sum(f"event=redis.down role={role} " in line and "in time" in line
               for line in program.log().splitlines())


def test_worker_notices_that_its_connections_are_dead(spawn, redis_server, proxy, jobs):
    """All of them at once, as when a firewall forgets them; new ones get through."""
    w = spawn("aion2-worker", env=worker_env(redis_server, REDIS_URL=proxy.url))
    w.wait_log("worker.registered")
    wait_for(lambda: jobs.redis.info("clients")["blocked_clients"] == 4, what="the waiting")
    # It connects last, when the one for events is up.
    wait_for(lambda: jobs.redis.pubsub_channels("*.pidbox"), what="the subscribing")
    proxy.swallow()
    proxy.resume()
    wait_for(lambda: lost(w, "main") == 1, 15, "the main connection given up")
    wait_for(lambda: lost(w, "wait") == 4, 15, "the waiting connections given up")
    wait_for(lambda: lost(w, "talk") == 1, 15, "the connection for events given up")
    wait_for(lambda: lost(w, "listen") == 1, 15, "the subscribing connection given up")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


def test_worker_comes_back_from_a_network_that_is_silent(spawn, redis_server, proxy, jobs):
    """New connections are accepted and dead, too; what runs meanwhile is told afterwards."""
    w = spawn("aion2-worker", env=worker_env(redis_server, REDIS_URL=proxy.url))
    task_id = jobs.push("test.sleep", 3)
    wait_for(lambda: "event=task.started" in w.log(), what="the start")
    proxy.swallow()
    wait_for(lambda: lost(w, "main") == 1, 15, "the connection given up")
    accepted = proxy.accepted
    wait_for(lambda: proxy.accepted > accepted, 15, "another try")
    proxy.resume()
    assert jobs.ended(task_id, 30)["status"] == "SUCCESS"
    assert jobs.ended(jobs.push("test.add", 1), 30)["result"] == 1
    jobs.quiet()
    assert w.log().count("event=task.started") == 2


def test_beat_notices_that_its_connection_is_dead(spawn, redis_server, proxy, jobs):
    b = spawn("aion2-beat", env={"REDIS_URL": proxy.url, "BATCH_INTERVAL": "1"})
    b.wait_log("beat.sent")
    proxy.swallow()
    b.wait_log("redis.down")
    proxy.resume()
    b.wait_log("redis.up")
    slots = slots_of(b)
    wait_for(lambda: slots_of(b) > slots, what="the next slot")


def test_ctl_notices_that_its_connection_is_dead(spawn, redis_server, proxy, jobs):
    """It waits for a result; the answer arrives over a new connection."""
    spawn("aion2-worker", env=worker_env(redis_server)).wait_log("worker.registered")
    answers = []
    env = {"REDIS_URL": proxy.url, "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}
    waiting = threading.Thread(target=lambda: answers.append(harness.run_program(
        "aion2ctl", "call", "test.sleep", "--args", "[2]", "--wait", "60", env=env)))
    waiting.start()
    wait_for(jobs.running, what="the task running")
    proxy.swallow()
    wait_for(lambda: jobs.counter("done") == 1, what="the task's end")
    proxy.resume()
    waiting.join(60)
    assert answers[0].returncode == 0, answers[0].stderr


# --------------------------------------------------------------------------------- name servers

# Loaded before the C library: looking up a name hangs while a file is there.
NAME_SERVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
typedef int (*fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    while (node && strcmp(node, "localhost") == 0 && !(hints->ai_flags & AI_NUMERICHOST) &&
           access(getenv("NAMES_HANG"), F_OK) == 0) {
        usleep(10000);
    }
    return ((fn)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, out);
}
"""


@pytest.fixture
def named_env(redis_server, tmp_path):
    """A worker's environment with a name in its REDIS_URL, and the file that makes names hang."""
    (tmp_path / "names.c").write_text(NAME_SERVER)
    library, hang = tmp_path / "names.so", tmp_path / "hang"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "names.c"], check=True)
    env = worker_env(
        redis_server,
        REDIS_URL=f"redis://localhost:{redis_server.port}/0",
        LD_PRELOAD=str(library),
        NAMES_HANG=str(hang),
        ASAN_OPTIONS="verify_asan_link_order=0",
    )
    return env, hang


def test_without_a_name_server_the_old_address_has_to_do(spawn, redis_server, jobs, named_env):
    env, hang = named_env
    w = spawn("aion2-worker", env=env)
    w.wait_log("worker.registered")
    hang.touch()
    for _ in range(2):
        jobs.redis.client_kill_filter(_type="normal", skipme=True)
        assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert hang.exists() and "redis.up role=main" in w.log()


def test_a_name_server_that_hangs_does_not_stop_the_loop(spawn, jobs, named_env):
    env, hang = named_env
    hang.touch()
    w = spawn("aion2-worker", env=env)
    w.wait_log("its name was not looked up in time")
    assert w.stop() == 0
    w.start()
    wait_for(lambda: w.log().count("not looked up in time") == 2, what="the second start waiting")
    hang.unlink()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_waiting_connections_come_back_without_a_name_server(spawn, jobs, named_env):
    """Only the connection that carries the heartbeat looks names up; the others go where it is."""
    env, hang = named_env
    w = spawn("aion2-worker", env=env)
    waiting = lambda: [c["id"] for c in jobs.redis.client_list() if c["cmd"] == "blmove"]  # noqa: E731
    before = wait_for(lambda: len(waiting()) == 4 and waiting(), what="the waiting")
    hang.touch()
    for client_id in before:
        jobs.redis.client_kill_filter(_id=client_id)
    wait_for(lambda: len(set(waiting()) - set(before)) == 4, what="the waiting anew")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert "redis.down role=main" not in w.log()


# ------------------------------------------------------------------------------------- outages


def restart_again_and_again(spawn, redis_server, jobs, tmp_path, times):
    """Kills and starts Redis under load; returns the seconds until work went on, each time."""
    runs = tmp_path / "runs"
    env = worker_env(redis_server, LOG_LEVEL="info", WORKER_CONCURRENCY="3")
    workers = [spawn("aion2-worker", env=env) for _ in range(2)]
    workers[0].wait_log("worker.registered")
    ids, pauses = [], []
    for n in range(times):
        held = [jobs.push("test.sleep", 0.3) for _ in range(2)]
        batch = [f"{n}-{i}" for i in range(10)]
        for name in batch:
            jobs.push("test.append", str(runs), name, id=None, raw=json.dumps(
                {"task": "test.append", "id": name, "args": [str(runs), name]}))
        wait_for(lambda: jobs.held_count() > 0, what="something held")
        redis_server.kill()
        redis_server.start()
        started = time.monotonic()
        fresh = jobs.push("test.noop")
        ids += [*held, *batch, fresh]
        assert jobs.ended(fresh)["status"] == "SUCCESS"
        pauses.append(time.monotonic() - started)
    jobs.quiet(30)
    assert all(jobs.document(i)["status"] == "SUCCESS" for i in ids)
    assert jobs.counter("done") == len(ids)
    counts = collections.Counter(runs.read_text().split())
    assert len(counts) == 10 * times and set(counts.values()) == {1}
    for w in workers:
        assert w.stop() == 0
    return pauses


@pytest.fixture
def durable(make_redis):
    return make_redis(appendonly=True)


def test_outages_with_messages_held(spawn, durable, tmp_path):
    restart_again_and_again(spawn, durable, Jobs(durable), tmp_path, times=5)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_hundred_outages_with_messages_held(spawn, durable, tmp_path):
    pauses = restart_again_and_again(spawn, durable, Jobs(durable), tmp_path, times=100)
    pauses.sort()
    print(f"work went on after {pauses[50]:.2f} s (median), {pauses[-1]:.2f} s (most)")
    assert pauses[-1] < 4 * harness.TIMEOUT_SCALE


# ------------------------------------------------------------------------- refused at the start


def start_both(spawn, redis_server, **more):
    """A worker and a beat."""
    w = spawn("aion2-worker", env=worker_env(redis_server, **more))
    b = spawn("aion2-beat", env={"REDIS_URL": redis_server.url, "BATCH_INTERVAL": "1", **more})
    return w, b


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_redis_that_deletes_is_refused(spawn, make_redis, policy):
    server = make_redis(options={"maxmemory-policy": policy})
    for p in start_both(spawn, server):
        assert p.wait() == 78
        assert policy in p.log() and "noeviction" in p.log()
    assert server.client().keys("*") == []


def test_redis_that_deletes_may_be_allowed(spawn, make_redis):
    server = make_redis(options={"maxmemory-policy": "allkeys-lru"})
    w, b = start_both(spawn, server, ALLOW_UNSAFE_REDIS="1")
    assert Jobs(server).ended(Jobs(server).push("test.add", 1))["result"] == 1
    w.wait_log("redis.unsafe")
    b.wait_log("beat.sent")
    b.wait_log("redis.unsafe")


def test_replica_is_waited_for(spawn, redis_server, jobs):
    jobs.redis.slaveof("127.0.0.1", free_port())
    w, b = start_both(spawn, redis_server)
    w.wait_log("redis.replica")
    b.wait_log("replica")
    jobs.redis.slaveof()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    b.wait_log("beat.sent")


def test_what_cannot_be_seen_is_said(spawn, redis_server, jobs):
    jobs.redis.acl_setuser("blind", enabled=True, passwords=["+pw"], categories=["+@all"],
                           keys=["*"], channels=["*"], commands=["-info"])
    url = redis_server.url.replace("//", "//blind:pw@")
    w, b = start_both(spawn, redis_server, REDIS_URL=url)
    w.wait_log("redis.unseen")
    b.wait_log("redis.unseen")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_worker_ends_while_it_waits_for_redis(spawn, redis_server):
    redis_server.stop()
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("redis.down")
    assert w.stop() == 0
    assert "worker.stopped" in w.log()
