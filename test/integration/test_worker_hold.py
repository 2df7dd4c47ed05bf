"""What a worker holds, and that others may look at it, put it back or delete it: kombu's own record of
unacknowledged messages, the copies that Python clients make of them, the counters' sums."""

import json
import os
import signal
import time

from kombu import Connection
import pytest

from harness import wait_for
from jobs import SEP, Jobs, celery_message, worker_env

HOLDS = ("unacked", "unacked_index")


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1"))
    w.wait_log("worker.registered")
    return w


def send(jobs, task, *args, queue="celery"):
    task_id, text = celery_message(task, args)
    jobs.redis.lpush(queue, text)
    return task_id, text


def started(w, task_id):
    return w.log().count(f'event=task.started id="{task_id}"')


def run_one(jobs, w, seconds=600):
    """A message from a Celery client that runs for so long; its id, text and delivery tag."""
    task_id, text = send(jobs, "test.sleep", seconds)
    wait_for(lambda: started(w, task_id) == 1, what="the start of the task")
    return task_id, text, json.loads(text)["properties"]["delivery_tag"]


def restore_pass(redis_server):
    """What every Python client does now and then, one with an impatient configuration."""
    with Connection(redis_server.url, transport_options={"visibility_timeout": -60}) as c:
        c.default_channel.qos.restore_visible(interval=1)


# ------------------------------------------------------------------------------- kombu's record


def test_a_hold_stands_in_kombus_record_and_is_renewed(worker, jobs):
    _, text, tag = run_one(jobs, worker, 5)
    message, exchange, routing_key = json.loads(jobs.redis.hget("unacked", tag))
    assert (message, exchange, routing_key) == (json.loads(text), "", "celery")
    (held,) = [v for h in jobs.held().values() for v in h]
    assert held == "celery\n" + text
    score = jobs.redis.zscore("unacked_index", tag)
    assert abs(score - time.time()) < 60
    wait_for(lambda: jobs.redis.zscore("unacked_index", tag) > score + 1, what="the renewal")
    jobs.quiet()
    assert not jobs.redis.exists(*HOLDS)


ODD = {
    "a plain one": '{"task":"test.sleep","id":"odd","args":[2]}',
    "a tag that is no tag": "a b",
    "no exchange": {"delivery_info": {"routing_key": "celery"}},
    "headers that are none": {"headers": 1},
    "a large one": {"filler": "x" * 70000},
}


@pytest.mark.parametrize("what", ODD)
def test_what_no_kombu_client_could_restore_is_held_by_us_alone(worker, jobs, what):
    change = ODD[what]
    if what == "a plain one":
        text = change
    else:
        message = json.loads(celery_message("test.sleep", (2,))[1])
        if isinstance(change, str):
            message["properties"]["delivery_tag"] = change
        elif "delivery_info" in change:
            message["properties"].update(change)
        else:
            message.update(change)
        text = json.dumps(message)
    jobs.push(raw=text)
    wait_for(lambda: jobs.counter("taken") == 1, what="the take")
    assert not jobs.redis.exists(*HOLDS)
    jobs.quiet()


def test_a_tag_that_somebody_has_already_stays_theirs(worker, jobs):
    task_id, text = celery_message("test.add", (1, 2))
    tag = json.loads(text)["properties"]["delivery_tag"]
    jobs.redis.hset("unacked", tag, "theirs")
    jobs.push(raw=text)
    assert jobs.ended(task_id)["result"] == 3
    jobs.quiet()
    assert jobs.redis.hget("unacked", tag) == "theirs"


def test_records_that_are_no_records_stop_nobody(worker, jobs):
    jobs.redis.set("unacked", "text")
    jobs.redis.set("unacked_index", "text")
    task_id, _ = send(jobs, "test.add", 1, 2)
    assert jobs.ended(task_id)["result"] == 3
    jobs.quiet()


# ----------------------------------------------------------------------- put back by somebody else


def test_a_copy_is_not_run_while_the_task_runs(spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="2"))
    w.wait_log("worker.registered")
    task_id, _, tag = run_one(jobs, w, 3)
    restore_pass(redis_server)
    w.wait_log("task.copy_dropped")
    assert jobs.redis.hexists("unacked", tag) and jobs.redis.zscore("unacked_index", tag)
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert started(w, task_id) == 1 and jobs.counter("done") == 1


def test_a_copy_is_not_run_after_the_task_has_succeeded(worker, jobs, redis_server):
    """It waits until the worker has stopped and is there again."""
    task_id, _, _ = run_one(jobs, worker, 2)
    worker.signal(signal.SIGTERM)
    worker.wait_log("worker.stopping")
    restore_pass(redis_server)
    assert worker.wait() == 0
    assert "task.restored_by_other" in worker.log()
    assert jobs.waiting() == 1 and jobs.document(task_id)["status"] == "SUCCESS"
    worker.start()
    worker.wait_log("task.copy_dropped")
    jobs.quiet()
    assert started(worker, task_id) == 1
    assert not jobs.redis.keys("aion2:restored:*")


def test_a_copy_that_waits_takes_the_place_of_what_is_put_back(worker, jobs, redis_server):
    run_one(jobs, worker)
    restore_pass(redis_server)
    worker.signal(signal.SIGTERM)
    worker.wait_log("worker.stopping")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert jobs.waiting() == 1 and jobs.balance() == 0


@pytest.mark.parametrize("end", ["it ends", "it is killed", "it is stopped"])
def test_a_record_deleted_by_hand_loses_nothing(worker, jobs, end):
    seconds = 2 if end == "it ends" else 600
    task_id, text, _ = run_one(jobs, worker, seconds)
    jobs.redis.delete(*HOLDS)
    if end == "it ends":
        assert jobs.ended(task_id)["status"] == "SUCCESS"
        jobs.quiet()
        return
    if end == "it is killed":
        worker.kill()
        worker.start()
        wait_for(lambda: started(worker, task_id) == 2, 20, "the second run")
    worker.signal(signal.SIGQUIT)
    worker.wait()
    (back,) = jobs.redis.lrange("celery", 0, -1)
    assert json.loads(back)["headers"]["id"] == json.loads(text)["headers"]["id"]
    assert jobs.balance() == 0


# ------------------------------------------------------------------------------------ going back


def test_what_goes_back_says_that_it_was_delivered(spawn, jobs, redis_server):
    """Both flags of kombu, and not one other byte."""
    w = spawn("aion2-worker", env=worker_env(redis_server, SHUTDOWN_GRACE="0"))
    w.wait_log("worker.registered")
    _, text, _ = run_one(jobs, w)
    w.stop()
    (back,) = jobs.redis.lrange("celery", 0, -1)
    assert back != text
    assert back.replace('"redelivered": true, ', "") == text
    message = json.loads(back)
    assert message["headers"]["redelivered"] is True
    assert message["properties"]["delivery_info"]["redelivered"] is True
    assert not jobs.redis.exists(*HOLDS)


def test_deaths_of_workers_are_counted_for_the_message_as_it_goes_on(spawn, jobs, redis_server):
    """The bytes change when it goes back the first time; the count stays with it."""
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    task_id, _, _ = run_one(jobs, w)
    for deaths in (1, 2):
        w.kill()
        w.start()
        wait_for(lambda n=deaths: started(w, task_id) == n + 1, 20, "the next run")
        assert list(jobs.redis.hgetall("aion2:recoveries").values()) == [str(deaths)]
    assert f"recoveries={deaths}" in w.log()


def test_the_order_survives_a_stop(spawn, jobs, redis_server):
    """More than the children run is held while tasks are short; all of it goes back as it came."""
    ids = [send(jobs, "test.sleep", 0)[0] for _ in range(400)]
    ids += [send(jobs, "test.sleep", 600)[0] for _ in range(40)]
    w = spawn("aion2-worker", env=worker_env(redis_server, SHUTDOWN_GRACE="0"))
    wait_for(lambda: jobs.counter("done") == 400, what="the short ones")
    wait_for(lambda: w.log().count("event=task.started") == 402, what="two long ones")
    assert w.stop() == 0
    back = [json.loads(t)["headers"]["id"] for t in jobs.redis.lrange("celery", 0, -1)]
    begun = [i for i in ids[400:] if started(w, i)]
    waited = [i for i in ids[400:] if i not in begun]
    assert back == waited[::-1] + begun[::-1]
    assert jobs.held_count() == 0 and jobs.balance() == 0


def test_nobody_sits_on_messages_behind_long_tasks(spawn, jobs, redis_server):
    for _ in range(400):
        send(jobs, "test.sleep", 0)
    for _ in range(40):
        send(jobs, "test.sleep", 600)
    w = spawn("aion2-worker", env=worker_env(redis_server))
    wait_for(lambda: w.log().count("event=task.started") == 402, what="two long ones")
    wait_for(lambda: jobs.held_count() == 2 and jobs.waiting() == 38, what="the rest to go back")
    assert jobs.balance() == 0
    w.signal(signal.SIGQUIT)


# ------------------------------------------------------------------------------------ taking


def test_messages_run_in_the_order_in_which_they_came(worker, jobs):
    ids = [send(jobs, "test.add", n)[0] for n in range(300)]
    wait_for(lambda: jobs.counter("done") == 300, what="all of them")
    begun = [line.split(' id="')[1].split('"')[0] for line in worker.log().splitlines()
             if "event=task.started" in line]
    assert begun == ids


def test_the_urgent_come_first_out_of_a_full_queue(spawn, jobs, redis_server):
    ids = {}
    for priority in (9, 6, 3, 0):
        queue = "celery" + (f"{SEP}{priority}" if priority else "")
        ids[priority] = [send(jobs, "test.add", n, queue=queue)[0] for n in range(30)]
    w = spawn("aion2-worker", env=worker_env(redis_server, WORKER_CONCURRENCY="1"))
    wait_for(lambda: jobs.counter("done") == 120, what="all of them")
    begun = [line.split(' id="')[1].split('"')[0] for line in w.log().splitlines()
             if "event=task.started" in line]
    assert begun == ids[0] + ids[3] + ids[6] + ids[9]


def test_a_take_brings_no_more_bytes_than_it_may(worker, jobs):
    """Messages of 3 MiB in a crowd of short tasks: one at a time, each whole."""
    for n in range(300):
        send(jobs, "test.add", n)
    large = []
    for _ in range(6):
        task_id, text = celery_message("test.add", (1,))
        message = json.loads(text)
        message["filler"] = "x" * 3 * 1024 * 1024
        jobs.push(raw=json.dumps(message))
        large.append(task_id)
    for task_id in large:
        assert jobs.ended(task_id, 30)["result"] == 1
    jobs.quiet()


# ------------------------------------------------------------------------------- the sums


def test_an_older_database_gets_sums_that_are_right(spawn, jobs, redis_server):
    """Counters of today are missing, their keys have members of yesterday."""
    jobs.redis.hset("aion2:counters", mapping={
        "taken": 100, "done": 60, "retried": 25, "delayed": 10, "requeued": 5, "dead": 7,
        "quarantined": 3})
    jobs.redis.hincrby("aion2:counters", "done", -3)
    jobs.redis.zadd("aion2:delayed", {'{"q":"celery","m":"{}","n":"1"}': time.time() * 1000 + 1e6})
    jobs.redis.lpush("aion2:dead", "{}", "{}")
    jobs.redis.lpush("aion2:quarantine", "{}")
    spawn("aion2-worker", env=worker_env(redis_server)).wait_log("worker.registered")
    assert jobs.counter("due") == 34 and jobs.counter("dead_trimmed") == 5
    assert jobs.counter("quarantine_trimmed") == 2
    assert jobs.differences() == {}


def test_every_way_out_is_counted(worker, jobs):
    """One message for each way; afterwards every sum is right."""
    jobs.push("test.add", 1)
    jobs.push("test.fail")
    jobs.push("test.add", 1, countdown=0.2)
    jobs.push("nobody.knows")
    jobs.push(raw="not json")
    jobs.redis.set("wrong", "no list")
    soon = time.time() * 1000
    jobs.redis.zadd("aion2:delayed", {"foreign": soon})
    jobs.redis.zadd("aion2:delayed", {
        '{"q":"wrong","m":"{}","n":"1"}': soon, '{"q":"elsewhere","m":"{}","n":"2"}': soon})
    for name in ("taken", "delayed"):
        jobs.redis.hincrby("aion2:counters", name, 2)
    wait_for(lambda: jobs.counter("done") >= 4 and jobs.counter("quarantine_foreign") == 2,
             what="all of them")
    jobs.quiet()
    assert jobs.differences() == {}


def test_steps_that_redis_forgot_are_counted_and_told(spawn, jobs, redis_server):
    w = spawn("aion2-worker", env=worker_env(redis_server),
              log_may_hold="redis.lost_steps")
    for n in range(5):
        jobs.ended(jobs.push("test.add", n))
    jobs.quiet()
    (boot,) = jobs.redis.smembers("aion2:workers")
    key = f"aion2:boot:{boot}"
    wait_for(lambda: jobs.redis.hmget(key, "taken", "ended") == ["5", "5"], what="the counts")
    assert jobs.redis.ttl(key) > 80000
    with jobs.redis.pipeline() as p:  # as if Redis had come back with an older state
        p.hset(key, mapping={"taken": 4, "ended": 2}).execute()
    w.wait_log("redis.lost_steps")
    assert jobs.counter("redis_lost") == 4
    jobs.ended(jobs.push("test.add", 1))
    wait_for(lambda: jobs.redis.hmget(key, "taken", "ended") == ["6", "6"], what="the counts")
    assert jobs.counter("redis_lost") == 4


def test_a_hold_of_an_earlier_version_is_recovered(spawn, jobs, redis_server):
    """It kept the lists in a hash of their own."""
    text = celery_message("test.add", (1,))[1]
    jobs.redis.sadd("aion2:workers", "old")
    jobs.redis.hset("aion2:held:old", "1", text)
    jobs.redis.hset("aion2:heldq:old", "1", "elsewhere")
    jobs.redis.hincrby("aion2:counters", "taken", 1)
    wait_for(lambda: jobs.redis.info("server")["uptime_in_seconds"] >= 10, 15, "Redis' old age")
    spawn("aion2-worker", env=worker_env(redis_server))
    wait_for(lambda: jobs.redis.lrange("elsewhere", 0, -1) == [text], what="the recovery")
    assert jobs.redis.keys("aion2:held*:old") == []
    assert jobs.balance() == 0
