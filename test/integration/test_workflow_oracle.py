"""Workflows held against two judges: a model that says what a canvas is worth, and a stock Celery
worker that is given the same one."""

import base64
import difflib
import json
import sys
from pathlib import Path

import pytest
from celery import chain, chord, group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import clean_env, start_process, wait_for
from jobs import Jobs, celery_client, worker_env

client = pytest.fixture(celery_client)

RELAXED = dict(deadline=None, database=None,
               suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

# ---- canvases: pairs of what they are and what they are worth ----
#
# A step is a function from a number to a number: ("add", k), ("steps", [step, ...]) one after the
# other, or ("parts", [step, ...]), whose results are added up.

LEAF = st.tuples(st.just("add"), st.integers(0, 9))
STEP = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.tuples(st.just("steps"), st.lists(inner, min_size=2, max_size=3)),
        st.tuples(st.just("parts"), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


def worth(step, n):
    kind, what = step
    if kind == "add":
        return n + what
    if kind == "parts":
        return sum(worth(s, n) for s in what)
    for s in what:
        n = worth(s, n)
    return n


def tasks_in(step):
    kind, what = step
    return 1 if kind == "add" else sum(map(tasks_in, what)) + (kind == "parts")


def canvas(client, step):
    kind, what = step
    if kind == "add":
        return client.signature("test.add", args=[what])
    if kind == "fail":
        return client.signature("test.fail", immutable=True)
    inner = [canvas(client, s) for s in what]
    return chain(inner) if kind == "steps" else chord(inner, client.signature("test.sum"))


def as_dict(sig):
    """As it arrives in a message: without anything that the client's classes do at the sending."""
    return json.loads(json.dumps(sig))


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server, client):
    client.set_current()
    w = spawn("aion2-worker", env=worker_env(redis_server))
    w.wait_log("worker.registered")
    return w


def check_canvases(client, jobs, examples):
    @settings(max_examples=examples, **RELAXED)
    @given(step=STEP, start=st.integers(0, 9))
    def check(step, start):
        before = jobs.counter("done")
        tasks = tasks_in(step) + 2
        link = as_dict(canvas(client, ("steps", [step, ("add", 1000)])))
        client.signature("test.add", args=[start]).apply_async(link=client.signature(link))
        wait_for(lambda: jobs.counter("done") >= before + tasks, what=f"the tasks of {step}")
        jobs.quiet()
        assert jobs.counter("done") == before + tasks
        last = worth(step, start) + 1000
        results = [json.loads(jobs.redis.get(k)) for k in jobs.redis.keys("celery-task-meta-*")]
        assert all(r["status"] == "SUCCESS" for r in results)
        assert max(r["result"] for r in results) == last, step
        jobs.redis.delete(*jobs.redis.keys("celery-task*"))

    check()


def test_canvases_are_worth_what_the_model_says(worker, client, jobs):
    """What is linked to a task is unfolded by the worker alone; the end of it adds up."""
    check_canvases(client, jobs, 60)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_canvases_are_worth_what_the_model_says(worker, client, jobs):
    check_canvases(client, jobs, 1500)


def with_a_failure(step, where):
    """The same, but for one leaf; where: which, counted from the left. Returns it and how many there
    are."""
    kind, what = step
    if kind == "add":
        return (("fail", None) if where == 0 else step), 1
    inner, leaves = [], 0
    for s in what:
        new, n = with_a_failure(s, where - leaves)
        inner.append(new)
        leaves += n
    return (kind, inner), leaves


def check_failures(client, jobs, examples):
    @settings(max_examples=examples, **RELAXED)
    @given(step=STEP, where=st.integers(0, 20))
    def check(step, where):
        broken, _ = with_a_failure(step, where % with_a_failure(step, -1)[1])
        end = client.signature("test.add", args=[1000]).set(task_id="end")
        # Not chain(): its pieces would be put together differently.
        link = {**as_dict(chain(end, end)), "kwargs": {"tasks": [as_dict(canvas(client, broken)),
                                                                 as_dict(end)]}}
        client.signature("test.add", args=[1]).apply_async(link=client.signature(link))
        assert jobs.ended("end")["status"] == "FAILURE"
        jobs.quiet()
        assert not [k for k in jobs.redis.keys("celery-taskset-meta-*") if k[-2:] in (".j", ".s")]
        jobs.redis.delete(*jobs.redis.keys("celery-task*"))

    check()


def test_a_failure_anywhere_reaches_the_end(worker, client, jobs):
    """However deep the task is that fails: nobody waits for what will never run."""
    check_failures(client, jobs, 50)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_many_failures_reach_the_end(worker, client, jobs):
    check_failures(client, jobs, 1000)


# ---- what a stock worker makes of it ----


@pytest.fixture
def stock(make_redis, tmp_path):
    """Another Redis, with a Python worker and a client of its own."""
    server = make_redis()
    log = tmp_path / "celery.log"
    argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--loglevel=INFO",
            "--pool=solo", "--without-gossip", "--without-mingle"]
    env = {"REDIS_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1", "C_FORCE_ROOT": "1"}
    proc = start_process(argv, log, clean_env(env), cwd=Path(__file__).parent)
    wait_for(lambda: " ready." in log.read_text(), 30, "the Python worker")
    yield server
    proc.kill()
    proc.wait()


def sent_away(redis, count):
    """The messages that a worker has sent to a queue nobody serves, oldest first."""

    def messages():
        return [json.loads(m) for key in sorted(redis.keys("away*"))
                for m in reversed(redis.lrange(key, 0, -1))]

    wait_for(lambda: len(messages()) >= count, what=f"{count} messages")
    found = messages()
    for m in found:
        m["body"] = json.loads(base64.b64decode(m["body"]))
    return found


class Names:
    """Ids of one run, numbered as they turn up, so that two runs can be compared."""

    def __init__(self):
        self.seen = {}

    def plain(self, v):
        if isinstance(v, dict):
            return {k: self.plain(x) for k, x in v.items() if k not in SENDERS_OWN}
        if isinstance(v, list):
            return [self.plain(x) for x in v]
        if isinstance(v, str) and len(v) == 36 and v.count("-") == 4:
            return self.seen.setdefault(v, f"id {len(self.seen)}")
        return v


# What a sender says of itself, and what depends on the time of sending. Celery shows arguments in
# two ways. What it prepares in a worker names the root in options, too; the message does anyway.
SENDERS_OWN = {"lang", "origin", "delivery_tag", "reply_to", "eta", "expires", "expiration",
               "argsrepr"}


def comparable(messages):
    def tidy(v):
        if isinstance(v, dict):
            if isinstance(v.get("options"), dict):
                v["options"] = {k: x for k, x in v["options"].items()
                                if x not in (None, []) and k not in ("root_id", "parent_id")}
            if v.get("chain") == []:
                v["chain"] = None
        for x in v.values() if isinstance(v, dict) else v if isinstance(v, list) else ():
            tidy(x)

    tidy(messages)
    return json.dumps(Names().plain(messages), indent=1, sort_keys=True).splitlines()


def away(client, name="test.echo", *args, **options):
    return client.signature(name, args=args).set(queue="away", **options)


SENT = {
    "a callback": (1, lambda c: c.signature("test.add", args=[1, 2]).set(link=away(c))),
    "its options": (1, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=away(c, "test.echo", 7, priority=4, time_limit=9, soft_time_limit=5, shadow="s",
                  headers={"mine": 1}))),
    "times": (1, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=away(c, countdown=60, expires=120))),
    "an immutable one": (1, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=away(c, "test.echo", 7).set(immutable=True))),
    "several": (2, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=[away(c), away(c, "test.echo", 7)])),
    "a group": (2, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=group(away(c), away(c, "test.echo", 7)))),
    "a chain as callback": (1, lambda c: c.signature("test.add", args=[1, 2]).set(
        link=chain(away(c), away(c, "test.echo", 7), away(c, "test.echo", 8)))),
    "steps": (1, lambda c: chain(c.signature("test.add", args=[1, 2]), away(c),
                                 away(c, "test.echo", 7), away(c, "test.echo", 8))),
    "a group as step": (2, lambda c: chain(c.signature("test.add", args=[1, 2]),
                                           group(away(c), away(c, "test.echo", 7)))),
    "a chord as step": (2, lambda c: chain(c.signature("test.add", args=[1, 2]),
                                           group(away(c), away(c, "test.echo", 7)),
                                           away(c, "test.sum"), away(c, "test.echo", 8))),
    "a body": (1, lambda c: chord([c.signature("test.add", args=[i, i]) for i in range(3)],
                                  away(c, "test.echo", 7))),
    "an errback": (1, lambda c: c.signature("test.fail").set(
        link_error=away(c, "no.such.task", 7))),
}


@pytest.mark.parametrize("what", SENT)
def test_messages_are_those_of_a_stock_worker(worker, client, redis_server, stock, what):
    count, make = SENT[what]
    seen = []
    for server in (redis_server, stock):
        # The client's pool of connections is made for its first server.
        app = type(client)("asks", broker=server.url, backend=server.url)
        app.set_current()
        make(app).apply_async()
        seen.append(comparable(sent_away(server.client(decode_responses=True), count)))
        app.backend.result_consumer.cancel_for = lambda task_id: None
        app.close()
    ours, theirs = seen
    assert not list(difflib.unified_diff(theirs, ours, "theirs", "ours", lineterm="", n=1))


def test_results_are_those_of_a_stock_worker(worker, client, redis_server, stock):
    """Every document of a workflow, but for times and traceback."""

    def run(server):
        app = type(client)("asks", broker=server.url, backend=server.url)
        app.set_current()
        add, total = (app.signature(f"test.{n}") for n in ("add", "sum"))
        r = chain(add.clone([1, 2]), group(add.clone([3]), add.clone([4])), total,
                  add.clone([5])).apply_async()
        redis = server.client(decode_responses=True)
        wait_for(lambda: len(redis.keys("celery-task-meta-*")) == 5, what="all of it")
        names, documents, node = Names(), [], r
        while node is not None:
            documents += [json.loads(redis.get(f"celery-task-meta-{x.id}"))
                          for x in (node.results if hasattr(node, "results") else [node])]
            node = node.parent
        app.backend.result_consumer.cancel_for = lambda task_id: None
        app.close()
        for d in documents:
            d["date_done"] = bool(d["date_done"])
        return names.plain(documents)

    assert run(redis_server) == run(stock)
