"""Redis or PostgreSQL away: at the start, later, slowly, halfway."""

import json
import socket
import threading
import time

import pytest

from harness import free_port, wait_for
from jobs import BATCH, Jobs, celery_client, worker_env

client = pytest.fixture(celery_client)


@pytest.fixture
def redis_server(make_redis):
    """One that remembers over restarts."""
    return make_redis(appendonly=True)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def changes(worker):
    """What the log tells of the connection, in order."""
    lines = [line for line in worker.log().splitlines() if "role=main" in line]
    return [line.split("event=redis.")[1].split()[0] for line in lines if "event=redis." in line]


def test_worker_starts_before_redis(spawn, redis_server, jobs):
    redis_server.stop()
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("redis.down")
    redis_server.start()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert changes(w) == ["down", "up"]


def test_idle_worker_goes_on_after_a_restart(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    for i in range(5):
        redis_server.kill()
        redis_server.start()
        assert jobs.ended(jobs.push("test.add", i))["result"] == i
    jobs.quiet()


def test_what_ends_while_redis_is_away_is_told_afterwards(spawn, redis_server, jobs):
    """The outage covers the end of the tasks, and others wait in the queue meanwhile."""
    ids = [jobs.push("test.sleep", 0.7) for _ in range(2)]
    w = spawn("aion2-worker", env=worker_env(redis_server))
    wait_for(lambda: w.log().count("event=task.started") == 2, what="two running tasks")
    more = [jobs.push("test.add", i) for i in range(5)]
    redis_server.kill()
    wait_for(lambda: w.log().count("event=task.succeeded") == 2, what="both ends")
    assert changes(w) == ["down"]
    redis_server.start()
    for task_id in ids + more:
        assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("done") == 7 and jobs.counter("taken") == 7
    assert "abandoned" not in w.log()


def test_an_outage_longer_than_a_heartbeat_costs_nothing(spawn, redis_server, jobs):
    """All heartbeats have run out when Redis is back; the workers get time to return."""
    task_id = jobs.push("test.sleep", 14)
    w = spawn("aion2-worker", env=worker_env(redis_server))
    wait_for(lambda: "event=task.started" in w.log(), what="the start")
    redis_server.kill()
    away_until = time.monotonic() + 11
    wait_for(lambda: time.monotonic() > away_until, 15, "a heartbeat's time")
    redis_server.start()
    assert jobs.ended(task_id, 20)["status"] == "SUCCESS"
    assert w.log().count("event=task.started") == 1
    assert jobs.counter("recovered") == 0


def test_worker_goes_on_within_two_seconds_of_redis_return(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    redis_server.kill()
    # Long enough for the back-off to reach its longest pause.
    w.wait_log("redis.down")
    down_until = time.monotonic() + 4
    wait_for(lambda: time.monotonic() > down_until, 10, "a longer outage")
    redis_server.start()
    task_id = jobs.push("test.add", 1)
    wait_for(lambda: jobs.document(task_id), 2, "the result")


def test_hanging_redis_is_noticed_and_left(spawn, redis_server, jobs):
    """Connections stay open but nothing answers, as behind a dead firewall."""
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    redis_server.pause()
    try:
        wait_for(lambda: 'error="no answer in time"' in w.log(), 15, "the deadline")
    finally:
        redis_server.resume()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


def test_a_registration_that_is_late_counts_once(spawn, redis_server, jobs):
    """Asked again before the first answer came: what follows from it is done once."""
    jobs.redis.client_pause(3500, all=False)
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    jobs.ended(jobs.push("test.add", 1))
    assert w.log().count("event=worker.registered") == 1
    assert "redis.down" not in w.log()


def test_lost_answers_of_takes_lose_no_message(spawn, redis_server, jobs):
    """Connections are cut while messages are taken; what Redis gave to nobody comes back."""
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="4"))
    w.wait_log("worker.registered")
    ids = []
    for i in range(300):
        ids.append(jobs.push("test.add", i))
        if i % 10 == 0:
            jobs.redis.client_kill_filter(_type="normal", skipme=True)
    for task_id in ids:
        assert jobs.ended(task_id, 30)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("done") == 300
    assert w.running()


def test_forgotten_scripts_are_loaded_again(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    jobs.redis.script_flush()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_worker_registers_again_in_an_emptied_redis(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    jobs.redis.flushall()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


def test_read_only_redis_counts_as_away(spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    jobs.redis.slaveof("127.0.0.1", free_port())
    w.wait_log("redis.down role=main")
    refused = lambda: int(jobs.redis.info("errorstats")["errorstat_READONLY"].split("=")[1])  # noqa: E731
    wait_for(lambda: refused() >= 3, what="more tries")
    jobs.redis.slaveof()
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert changes(w) == ["down", "up"]


def test_password_and_database_of_the_url(spawn, make_redis):
    server = make_redis(options={"requirepass": "s3cret"})
    url = f"redis://:s3cret@127.0.0.1:{server.port}/5"
    spawn("aion2-worker", env=worker_env(server, REDIS_URL=url)).wait_log("worker.registered")
    redis5 = server.client(password="s3cret", db=5, decode_responses=True)
    redis5.lpush("celery", json.dumps({"task": "test.add", "id": "x", "args": [4]}))
    wait_for(lambda: redis5.get("celery-task-meta-x"), what="the result")
    wrong = worker_env(server, REDIS_URL=url.replace("s3cret", "wrong"))
    w = spawn("aion2-worker", env=wrong)
    w.wait_log("redis.down")
    assert "wrong" not in w.log()


def test_unix_socket(spawn, redis_server, jobs):
    url = f"redis+socket://{redis_server.dir}/redis.sock?db=0"
    spawn("aion2-worker", env=worker_env(redis_server, REDIS_URL=url))
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


# ---------------------------------------------------------------------------------- PostgreSQL


def test_batch_is_retried_until_postgresql_is_back(pg, client, spawn, redis_server, jobs):
    w = spawn("aion2-worker", env=worker_env(redis_server, pg.url, RETRY_BASE_SECONDS="1"))
    w.wait_log("worker.registered")
    pg.stop("immediate")
    result = client.send_task(BATCH)
    doc = wait_for(lambda: jobs.document(result.id), what="the RETRY document")
    assert doc["status"] == "RETRY"
    assert "1 s" in doc["traceback"] and "2 s, 4 s" in doc["traceback"]
    pg.start()
    assert result.get(timeout=20)["status"] in ("success", "no_data")
    jobs.quiet()
    assert jobs.counter("dead") == 0


def test_batch_without_postgresql_fails_in_the_end(client, spawn, redis_server, jobs):
    spawn("aion2-worker", env=worker_env(redis_server)).wait_log("database.away")
    result = client.send_task(BATCH)
    with pytest.raises(Exception) as raised:
        result.get(timeout=20)
    assert "PostgreSQL" in str(raised.value)
    jobs.quiet()
    (dead,) = jobs.dead()
    assert dead["id"] == result.id and dead["retries"] == 3
    assert jobs.counter("retried") == 3


# -------------------------------------------------------------------------- another's waiting


def blmove_and_brpop(redis_server, jobs, first):
    """A BLMOVE to itself and a BRPOP wait for one list; returns who got what."""
    got = {}
    ready = jobs.redis

    def wait_with(name, command):
        c = redis_server.client()
        got[name] = c.execute_command(*command)
        c.close()

    commands = {
        "blmove": ("BLMOVE", "q", "q", "RIGHT", "RIGHT", "10"),
        "brpop": ("BRPOP", "q", "10"),
    }
    threads = []
    order = [first] + [n for n in commands if n != first]
    for n, name in enumerate(order):
        threads.append(threading.Thread(target=wait_with, args=(name, commands[name])))
        threads[-1].start()
        wait_for(lambda: ready.info("clients")["blocked_clients"] == n + 1, what=name)
    ready.lpush("q", "message")
    return got, threads


def test_waiting_takes_nothing_from_a_python_worker(redis_server, jobs):
    """Whoever came first: BRPOP gets the message, and our wait keeps none."""
    got, threads = blmove_and_brpop(redis_server, jobs, "blmove")
    for t in threads:
        t.join(15)
    assert got == {"blmove": b"message", "brpop": (b"q", b"message")}
    assert jobs.redis.llen("q") == 0

    got, threads = blmove_and_brpop(redis_server, jobs, "brpop")
    wait_for(lambda: "brpop" in got, what="the BRPOP")
    assert got == {"brpop": (b"q", b"message")}
    jobs.redis.lpush("q", "another")
    for t in threads:
        t.join(15)
    assert got["blmove"] == b"another" and jobs.redis.lrange("q", 0, -1) == ["another"]


def test_every_idle_worker_shares_the_queue(spawn, redis_server, jobs):
    workers = [
        spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1"))
        for _ in range(3)
    ]
    for w in workers:
        w.wait_log("worker.registered")
    ids = [jobs.push("test.sleep", 0.5) for _ in range(3)]
    wait_for(
        lambda: all(w.log().count("event=task.started") == 1 for w in workers),
        what="each worker running one",
    )
    for task_id in ids:
        jobs.ended(task_id)
    jobs.quiet()


def test_half_open_connection_at_the_start(spawn, redis_server, jobs):
    """A server that accepts and says nothing is left after the deadline."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(20)
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        w = spawn("aion2-worker", env=worker_env(redis_server, REDIS_URL=url))
        wait_for(lambda: "in time" in w.log(), 15, "the deadline")
        assert w.stop() == 0
