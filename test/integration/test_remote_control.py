"""Celery's remote control asks our worker: its command line tool, its client library, hostile bytes."""

import json
import random
import re
import threading
import uuid
from pathlib import Path

import pytest

from harness import children_of, wait_for
from jobs import SEP, Jobs
from remote_lab import (CHANNEL, NODE, TASK_MEMBERS, Monitor, ask, ask_one, bind, body_of, busy,
                        celery_app, close_app, delayed_identity, envelope, reply_list, request,
                        start_worker, tool, tools)

WIRE = Path(__file__).resolve().parents[1] / "data" / "wire"


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def app(redis_server):
    made = celery_app(redis_server)
    yield made
    close_app(made)


@pytest.fixture
def worker(spawn, redis_server):
    return start_worker(spawn, redis_server)


# ---------------------------------------------------------------- the command line tool


def test_every_inspect_command_of_the_tool(app, jobs, redis_server, worker):
    running = busy(app, jobs, count=1)[0].id
    later = app.send_task("test.add", (1, 2), countdown=600).id
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 1)
    expected = {
        "ping": "pong",
        "active": f"'id': '{running}'",
        "reserved": "- empty -",
        "scheduled": f"'id': '{later}'",
        "revoked": "- empty -",
        "registered": "* test.add",
        "stats": '"max-concurrency": 2',
        "active_queues": "'name': 'celery'",
        "conf": '"task_default_queue": "celery"',
        "report": "aion2rank:",
        "clock": '"clock":',
        f"query_task {running}": "active",
        "memsample": "None",
        "memdump": "None",
        "objgraph": "None",
    }
    done = tools(redis_server, [f"inspect {c} -d {NODE}" if " " not in c
                                else f"inspect -d {NODE} {c}" for c in expected])
    assert len(done) == len(expected)
    for (command, text), (code, output) in zip(expected.items(), done):
        assert code == 0, (command, output)
        assert text in output and f"->  {NODE}: OK" in output, (command, output)
        assert "1 node online." in output
    ping = tool(redis_server, "inspect", "ping", "--json")
    assert json.loads(ping.stdout) == {NODE: {"ok": "pong"}}
    status = tool(redis_server, "status")
    assert status.returncode == 0 and f"->  {NODE}: OK" in status.stdout
    nobody = tool(redis_server, "inspect", "ping", "-d", "nobody@lab")
    assert nobody.returncode == 69 and "No nodes replied" in nobody.stdout + nobody.stderr


def test_every_control_command_of_the_tool(app, jobs, redis_server, worker):
    gone = str(uuid.uuid4())
    expected = {
        "rate_limit test.add 10/m": "OK\n        new rate limit set successfully",
        "rate_limit test.nope 10/m": "ERROR\n        unknown task",
        "rate_limit test.add x/m": "ERROR\n        Invalid rate limit string: ValueError(",
        "time_limit test.add 10 20": "OK\n        time limits set successfully",
        "time_limit test.nope 10 20": "ERROR\n        unknown task",
        f"revoke {gone}": f"OK\n        tasks {gone} flagged as revoked",
        f"terminate SIGKILL {gone}": "OK\n        terminate: tasks unknown",
        "pool_grow 1": "OK\n        pool will grow",
        "pool_shrink 200": "ERROR\n        ValueError(",
        "add_consumer fast": "OK\n        add consumer fast",
        "cancel_consumer nosuch": "ERROR\n        ValueError(",
        "enable_events": "OK\n        task events already enabled",
        "heartbeat": "OK\n    None",
        "autoscale 4 2": "ERROR\n        ValueError('Autoscale not enabled')",
        "pool_restart": "ERROR\n        ValueError('Pool restarts not enabled')",
        "election 1 task": "OK\n    None",
    }
    done = tools(redis_server, [f"control -d {NODE} {c}" for c in expected])
    assert len(done) == len(expected)
    for (command, text), (code, output) in zip(expected.items(), done):
        assert code == 0, (command, output)
        assert f"->  {NODE}: {text}" in output, (command, output)
    assert tools(redis_server, ["control nosuch"])[0][0] == 2
    assert "[rate_limit=10/m]" in " ".join(ask_one(app, "registered"))
    assert [q["name"] for q in ask_one(app, "active_queues")] == ["celery", "fast"]
    assert ask_one(app, "stats")["pool"]["max-concurrency"] == 3
    assert gone in ask_one(app, "revoked")
    for command, text in (("disable_events", "task events disabled"),
                          ("disable_events", "task events already disabled"),
                          ("enable_events", "task events enabled"),
                          ("pool_shrink 1", "pool will shrink"),
                          ("cancel_consumer fast", "no longer consuming from fast"),
                          ("rate_limit test.add 0", "rate limit disabled successfully")):
        name, *args = command.split()
        names = {"pool_shrink": "n", "cancel_consumer": "queue"}
        arguments = {names[name]: int(args[0]) if name == "pool_shrink" else args[0]} \
            if name in names else {}
        if name == "rate_limit":
            arguments = {"task_name": args[0], "rate_limit": args[1]}
        assert ask_one(app, name, arguments) == {"ok": text}
    stopped = tool(redis_server, "control", "shutdown", "-d", NODE)
    assert stopped.returncode == 0 and "shutting down" in stopped.stdout
    assert worker.wait() == 0


def test_call_and_result_of_the_tool(redis_server, worker):
    call = tool(redis_server, "call", "test.add", "--args", "[2, 3]")
    assert call.returncode == 0
    task_id = call.stdout.strip()
    result = tool(redis_server, "result", task_id)
    assert (result.returncode, result.stdout.strip()) == (0, "5")
    failed = tool(redis_server, "call", "test.fail", "--args", '["KeyError", "no"]')
    result = tool(redis_server, "result", failed.stdout.strip())
    assert result.returncode != 0 and "KeyError: 'no'" in result.stderr


# ---------------------------------------------------------------- shapes


def test_what_flower_reads(app, jobs, redis_server, worker):
    """Flower answers 500 when one of these is missing."""
    result = app.send_task("test.add", (1, 1))
    assert result.get(timeout=10) == 2
    running = busy(app, jobs, count=1)[0].id
    stats = ask_one(app, "stats")
    assert stats["total"]["test.add"] == 1
    for member in ("hostname", "port", "transport", "virtual_host", "userid", "ssl", "heartbeat"):
        assert member in stats["broker"]
    assert stats["broker"]["port"] == redis_server.port
    assert stats["pid"] == worker.pid and isinstance(stats["clock"], str)
    assert sorted(stats["pool"]["processes"]) == sorted(children_of(worker.pid))
    assert stats["prefetch_count"] > 0 and stats["rusage"]["maxrss"] > 0
    queue, = ask_one(app, "active_queues")
    for member in ("name", "exclusive", "durable", "routing_key", "no_ack", "alias",
                   "queue_arguments", "binding_arguments", "auto_delete"):
        assert member in queue
    task, = ask_one(app, "active", {"safe": True})
    assert set(task) == TASK_MEMBERS and task["id"] == running
    assert isinstance(task["args"], str) and isinstance(task["kwargs"], str)
    task, = ask_one(app, "active")
    assert task["args"] == [60] and task["kwargs"] == {}
    assert task["worker_pid"] in children_of(worker.pid)
    assert task["time_start"] > 1.7e9 and task["hostname"] == NODE
    assert task["delivery_info"] == {"exchange": "", "routing_key": "celery", "priority": 0,
                                     "redelivered": None}


def recorded_answer(name):
    """What a real worker answered."""
    answer = body_of((WIRE / f"pidbox-{name}-reply.json").read_text())
    return next(iter(answer.values()))


def test_answers_have_the_shape_of_a_real_worker(app, jobs, worker):
    busy(app, jobs, count=1)
    app.send_task("test.add", (1, 1), countdown=600)
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 1)
    assert ask_one(app, "active_queues") == recorded_answer("active-queues")
    for name, method in (("active", "active"), ("scheduled", "scheduled")):
        ours, theirs = ask_one(app, method)[0], recorded_answer(name)[0]
        assert list(ours) == list(theirs)
        ours, theirs = ours.get("request", ours), theirs.get("request", theirs)
        assert list(ours) == list(theirs)
        assert list(ours["delivery_info"]) == list(theirs["delivery_info"])
    ours, theirs = ask_one(app, "stats"), recorded_answer("stats")
    assert set(theirs) <= set(ours)
    for part in ("broker", "rusage"):
        assert set(ours[part]) == set(theirs[part])
    assert set(theirs["pool"]) - set(ours["pool"]) == {"writes"}, "we have no pipes to count"
    for name, arguments in (
            ("ping", {}), ("autoscale", {"max": 4, "min": 2}), ("pool-restart", {}),
            ("heartbeat", {}), ("memsample", {}), ("pool-grow", {"n": 1}),
            ("add-consumer", {"queue": "fast"}), ("cancel-consumer", {"queue": "fast"}),
            ("enable-events", {}), ("query-task", {"ids": ["abc"]}),
            ("rate-limit", {"task_name": "test.add", "rate_limit": "10/m"}),
            ("rate-limit-bad", {"task_name": "lab.nope", "rate_limit": "10/m"}),
            ("time-limit", {"task_name": "test.add", "soft": 10.0, "hard": 20.0}),
            ("revoke", {"task_id": ["11111111-2222-3333-4444-555555555555"]}),
            ("terminate", {"task_id": ["11111111-2222-3333-4444-555555555555"],
                           "signal": "SIGKILL"})):
        method = name.replace("-bad", "").replace("-", "_")
        assert ask_one(app, method, arguments) == recorded_answer(name), name


def test_eight_questions_at_once(app, worker):
    """As Flower asks when a page is opened."""
    methods = ["stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked",
               "conf"]
    answers = {}

    def one(method):
        client = app.control.inspect(timeout=2.0, destination=[NODE])
        answers[method] = client._request(method)

    threads = [threading.Thread(target=one, args=(m,)) for m in methods]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert sorted(answers) == sorted(methods)
    assert all(a is not None and NODE in a for a in answers.values()), answers


def test_old_names(app, worker):
    for old, new in (("dump_active", "active"), ("dump_reserved", "reserved"),
                     ("dump_schedule", "scheduled"), ("dump_revoked", "revoked"),
                     ("dump_tasks", "registered"), ("dump_conf", "conf")):
        assert ask_one(app, old) == ask_one(app, new)


def test_settings_are_shown_without_secrets(app, make_redis, spawn):
    server = make_redis(options={"requirepass": "s3cret-word"}.items())
    url = server.url.replace("redis://", "redis://:s3cret-word@")
    spawn("aion2-worker", env={"REDIS_URL": url, "WORKER_NAME": NODE, "TEST_TASKS": "1",
                               "DATABASE_URL": "postgresql://u:s3cret-word@127.0.0.1:1/x"}
          ).wait_log("worker.registered")
    client = celery_app(server)
    client.conf.broker_url = client.conf.result_backend = url
    r = server.client(password="s3cret-word")
    wait_for(lambda: r.pubsub_numsub(CHANNEL)[0][1] == 1)
    for method, arguments in (("conf", {"with_defaults": True}), ("conf", {}), ("report", {}),
                              ("stats", {})):
        text = json.dumps(ask_one(client, method, arguments))
        assert "s3cret" not in text, text
        assert method == "stats" or "***" in text
    client.close()


def test_what_is_reserved_and_where_a_task_is(app, jobs, redis_server, spawn):
    start_worker(spawn, redis_server, WORKER_CONCURRENCY=1)
    runs = busy(app, jobs, count=1)[0].id
    waits = app.send_task("test.add", (1, 1)).id
    found = ask_one(app, "query_task", {"ids": [runs, waits, "nobody"]})
    assert found[runs][0] == "active" and found[runs][1]["id"] == runs
    assert "nobody" not in found
    reserved = [t["id"] for t in ask_one(app, "reserved")]
    # It may still be on the list: a worker need not take what it cannot run.
    assert reserved == ([waits] if waits in found else [])
    assert ask_one(app, "query_task", {"ids": runs})[runs][0] == "active"
    assert "TypeError" in ask_one(app, "query_task")["error"]


# ---------------------------------------------------------------- to whom, and whether to answer


def test_only_who_is_meant_answers(app, redis_server, spawn):
    for name in ("w1@lab", "w2@lab"):
        start_worker(spawn, redis_server, name)
    everybody = ["w1@lab", "w2@lab"]
    assert sorted(ask(app, "ping", timeout=1)) == everybody
    assert sorted(ask(app, "ping", destination=everybody)) == everybody
    assert list(ask(app, "ping", destination=["w2@lab"])) == ["w2@lab"]
    assert ask(app, "ping", destination=["w3@lab"], timeout=0.5) == {}
    assert list(ask(app, "ping", pattern="w[!2]@*", matcher="glob", timeout=0.7)) == ["w1@lab"]
    refused = ask(app, "ping", pattern="w1.*", matcher="pcre", timeout=0.7)
    assert sorted(refused) == everybody
    assert all("MatcherNotInstalled" in a["error"] for a in refused.values())


def test_an_unknown_method_is_an_error(app, worker):
    assert ask_one(app, "nosuch") == {"error": "KeyError('nosuch')"}
    assert "task_id" in ask_one(app, "revoke")["error"]
    assert "error" in ask_one(app, "add_consumer", {"queue": 7})
    assert "error" in ask_one(app, "pool_grow", {"n": -1})
    assert "error" in ask_one(app, "revoke", {"task_id": ["x"], "terminate": True,
                                              "signal": "SIGNOSUCH"})


def test_answers_do_not_stay(redis_server, worker):
    r = redis_server.client(decode_responses=True)
    bind(r, "reader")
    r.publish(CHANNEL, json.dumps(request("ping", "reader")))
    r.publish(CHANNEL, json.dumps(request("ping", "gone")))
    for key, longest in (("reader", 60), ("gone", 10)):
        wait_for(lambda: r.llen(reply_list(key)) == 1)
        assert 0 < r.ttl(reply_list(key)) <= longest
        assert body_of(r.lrange(reply_list(key), 0, -1)[0]) == {NODE: {"ok": "pong"}}
    # Nobody asked for an answer: nothing is written.
    before = set(r.keys("*"))
    r.publish(CHANNEL, json.dumps(request("ping")))
    r.publish(CHANNEL, json.dumps(request("ping", "last")))
    wait_for(lambda: r.llen(reply_list("last")) == 1)
    assert set(r.keys("*")) - before == {reply_list("last")}


def test_a_list_that_is_none_harms_nobody(app, redis_server, worker):
    r = redis_server.client(decode_responses=True)
    r.set(reply_list("trap"), "text")
    r.set("_kombu.binding.reply.celery.pidbox", "text")
    r.publish(CHANNEL, json.dumps(request("ping", "trap")))
    r.publish(CHANNEL, json.dumps(request("ping", "good")))
    wait_for(lambda: r.llen(reply_list("good")) == 1)
    assert r.get(reply_list("trap")) == "text"
    assert "redis.down" not in worker.log()


# ---------------------------------------------------------------- hostile bytes


def without(message, *path):
    """A copy of a message without that member."""
    copy = json.loads(json.dumps(message))
    at = copy
    for name in path[:-1]:
        at = at[name]
    del at[path[-1]]
    return copy


def malformed_requests():
    """What ends a stock worker, or makes it deaf, and more."""
    ping = request("ping", "x")
    yield from ("", "not json", "[]", "null", "7", '"text"', "{}", "\x00", "{" * 1000, "[" * 100000)
    for path in (("body",), ("content-type",), ("properties",), ("properties", "delivery_tag")):
        yield json.dumps(without(ping, *path))
    for body in ("", "not json", "[]", ["ping"], "null", 7, {}, {"method": None}, {"method": 7},
                 {"method": "x" * 100000}, {"method": "ping", "arguments": []},
                 {"method": "ping", "destination": 7}, {"method": "ping", "destination": [[]]},
                 {"method": "ping", "reply_to": 7}, {"method": "ping", "reply_to": {}},
                 {"method": "ping", "reply_to": {"exchange": "celery", "routing_key": "celery"}},
                 {"method": "ping", "reply_to": {"exchange": "reply.celery.pidbox",
                                                 "routing_key": "x" * 100000}},
                 {"method": "ping", "pattern": ["*"], "matcher": "glob"},
                 {"method": "ping", "ticket": "x" * 100000}):
        yield json.dumps(envelope(body))
    yield json.dumps({**ping, "body": "!!!"})
    yield json.dumps({**ping, "content-type": "application/x-python-serialize"})
    yield json.dumps({**ping, "headers": {"compression": "application/x-gzip"}})
    yield json.dumps({**ping, "body": 7})
    # Good requests with bad arguments, nobody waits for the answer.
    for method, arguments in (
            ("revoke", {}), ("revoke", {"task_id": 7}), ("revoke", {"task_id": [None]}),
            ("revoke", {"task_id": ["", "x" * 10000]}), ("terminate", {"task_id": "x"}),
            ("hello", {}), ("hello", {"from_node": 7}), ("hello", {"from_node": "y@x", "revoked": 7}),
            ("hello", {"from_node": "y@x", "revoked": {"a": None}}),
            ("rate_limit", {"task_name": "test.add", "rate_limit": {}}),
            ("rate_limit", {"task_name": "test.add", "rate_limit": "1" * 400}),
            ("rate_limit", {"task_name": "test.add", "rate_limit": "-5/s"}),
            ("time_limit", {"task_name": "test.add", "soft": -1}),
            ("time_limit", {"task_name": "test.add", "hard": 1e300}),
            ("pool_grow", {"n": 1e18}), ("pool_grow", {"n": "1"}), ("pool_shrink", {"n": 256}),
            ("add_consumer", {"queue": ""}), ("add_consumer", {"queue": "a\nb"}),
            ("add_consumer", {"queue": "x" * 10000}), ("cancel_consumer", {"queue": None}),
            ("query_task", {"ids": [{}]}), ("query_task", {"ids": [str(i) for i in range(5000)]}),
            ("nosuch", {}), ("autoscale", {"max": []})):
        yield json.dumps(request(method, arguments=arguments))
    for clock in (1e300, -1, "7", None, 2**63, [1]):
        yield json.dumps({**request("ping"), "headers": {"clock": clock}})


def malformed_events():
    event = {"type": "worker-heartbeat", "hostname": "c1@lab", "timestamp": 1.0, "clock": 1,
             "pid": 1, "freq": 2.0}
    good = envelope(event, {"hostname": "c1@lab"},
                    delivery_info={"exchange": "celeryev", "routing_key": "worker.heartbeat"})
    yield from ("", "not json", "[]", "null")
    for path in (("properties",), ("properties", "delivery_info"), ("headers",), ("body",)):
        yield json.dumps(without(good, *path))
    for member in event:
        yield json.dumps(envelope(without(event, member), {},
                                  delivery_info=good["properties"]["delivery_info"]))
    for body in ([], {**event, "freq": None}, {**event, "clock": "x"}, {**event, "timestamp": "x"}):
        yield json.dumps({**good, "body": envelope(body)["body"]})


def test_malformed_requests_and_events_change_nothing(app, jobs, redis_server, worker):
    r = redis_server.client()
    state = {m: ask_one(app, m) for m in ("registered", "active_queues")}
    for text in malformed_requests():
        r.publish(CHANNEL, text)
    for text in malformed_events():
        for key in ("worker.heartbeat", "task.multi", "worker.elect"):
            r.publish(f"/0.celeryev/{key}", text)
    rng = random.Random(20261123)
    for _ in range(200):
        text = bytearray(json.dumps(request("ping", "x")).encode())
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        r.publish(CHANNEL, bytes(text))
    assert ask_one(app, "ping") == {"ok": "pong"}
    assert {m: ask_one(app, m) for m in state} == state
    assert app.send_task("test.add", (4, 5)).get(timeout=10) == 9
    log = worker.log()
    assert "control.ignored" in log and "redis.down" not in log
    assert log.count("control.ignored") <= 40, "a flood of wrong requests fills the log"
    assert ask_one(app, "clock")["clock"] < 2**50
    jobs.quiet()


def test_answers_come_while_every_child_is_busy(app, jobs, worker):
    busy(app, jobs)
    for n in range(300):
        jobs.push("test.add", n, 1)
    for method in ("ping", "active", "reserved", "stats", "scheduled"):
        assert ask(app, method, destination=[NODE]), method


# ---------------------------------------------------------------- limits, pool, queues, the end


def test_limits_set_from_afar_hold(app, jobs, worker):
    ask_one(app, "time_limit", {"task_name": "test.sleep", "hard": 0.5})
    slow = app.send_task("test.sleep", (60,))
    assert jobs.ended(slow.id)["result"]["exc_type"] == "TimeLimitExceeded"
    ask_one(app, "time_limit", {"task_name": "test.sleep", "soft": None, "hard": None})
    assert app.send_task("test.sleep", (0.8,)).get(timeout=10) == "slept"


def test_a_rate_limit_holds(app, jobs, worker, tmp_path):
    ask_one(app, "rate_limit", {"task_name": "test.append", "rate_limit": "2/s"})
    ids = [jobs.push("test.append", str(tmp_path / "turns"), str(n)) for n in range(5)]
    other = app.send_task("test.add", (1, 1))
    assert other.get(timeout=10) == 2, "tasks without a limit go on"
    for task_id in ids:
        assert jobs.ended(task_id)["status"] == "SUCCESS"
    # Five at two a second: two seconds between the first and the last.
    starts = re.findall(r"ts=\S+:(\d\d\.\d+)Z .*event=task.started .*task=\"test.append\"",
                        worker.log())
    assert len(starts) == 5 and (float(starts[-1]) - float(starts[0])) % 60 > 1.7
    ask_one(app, "rate_limit", {"task_name": "test.append", "rate_limit": "0"})
    jobs.quiet()
    assert delayed_identity(jobs) == 0


def test_the_pool_grows_and_shrinks(app, jobs, worker):
    ask_one(app, "pool_grow", {"n": 2})
    wait_for(lambda: len(ask_one(app, "stats")["pool"]["processes"]) == 4)
    busy(app, jobs, seconds=1, count=4)
    ask_one(app, "pool_shrink", {"n": 3})
    wait_for(lambda: len(ask_one(app, "stats")["pool"]["processes"]) == 1)
    jobs.quiet()
    assert "error" in ask_one(app, "pool_shrink", {"n": 1})
    assert app.send_task("test.add", (1, 1)).get(timeout=10) == 2


def test_a_queue_comes_and_goes(app, jobs, redis_server, worker):
    """The most urgent of a queue nobody read comes first, however it was sent."""
    monitor = Monitor(redis_server)
    urgency = {app.send_task("test.add", (p, 1), queue="new", priority=p).id: p for p in (9, 6, 3, 0)}
    assert sorted(jobs.redis.keys("new*")) == ["new"] + [f"new{SEP}{p}" for p in (3, 6, 9)]
    ask_one(app, "enable_events")
    assert ask_one(app, "add_consumer", {"queue": "new"}) == {"ok": "add consumer new"}
    for task_id in urgency:
        assert jobs.ended(task_id)["status"] == "SUCCESS"

    def received():
        return [urgency[e["uuid"]] for e in list(monitor.events)
                if e["type"] == "task-received" and e["uuid"] in urgency]

    wait_for(lambda: received() == [0, 3, 6, 9], what="the order of arrival")
    monitor.close()
    assert ask_one(app, "cancel_consumer", {"queue": "new"}) == {"ok": "no longer consuming from new"}
    left = app.send_task("test.add", (1, 1), queue="new")
    assert app.send_task("test.add", (1, 1)).get(timeout=10) == 2
    assert jobs.redis.llen("new") == 1 and left.state == "PENDING"


def test_shutdown_lets_tasks_end(app, jobs, worker):
    running = app.send_task("test.sleep", (1.5,))
    wait_for(lambda: ask_one(app, "active"))
    assert "ok" in ask_one(app, "shutdown")
    assert worker.wait() == 0
    assert jobs.ended(running.id)["status"] == "SUCCESS"
