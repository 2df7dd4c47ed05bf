"""A process that dies at each named point of each step: every task ends exactly once all the same."""

import re
import signal
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from celery import chord

from harness import REPO, wait_for
from jobs import Finals, Jobs, celery_client, celery_message, worker_env
from servers import Redis
from test_beat import assert_each_once, beat_env, slots

# Every step that a worker asks Redis for: it dies before Redis has heard of it, and when Redis has
# done it. The number says at which visit; the first one where none is given.
STEPS = {
    "register": [1], "heartbeat": [1, 2], "take": [1, 2, 3], "adopt": [1], "finish": [1, 2, 3],
    "postpone": [1, 2, 3], "due": [1, 2], "lost": [1], "quarantine": [1, 2],
    "started": [1], "chord_part": [1, 2, 3],
}
# Steps that are part of stopping.
STOP_STEPS = {"requeue": [1], "unregister": [1]}
BEAT_POINTS = ["claim.before", "claim.before:3", "claim.after", "claim.after:3"]
# Between the worker and its child.
RUN_POINTS = ["run.sent", "run.sent:3", "answer.read", "answer.read:3"]
CHILD_POINTS = ["child.begin", "child.begin:2", "child.done", "child.done:2"]
# Scripts that no worker runs.
OTHER_SCRIPTS = {"letter_put_back", "letter_drop", "letters_newest", "single"}
# Of the task that fetches sheets: test_source_tasks.py
SHEET_POINTS = {"sheet.answered", "sheet.store"}
# Nobody counts as dead before Redis has been up for this long.
GRACE_S = 10


@pytest.fixture(scope="module")
def warm_redis():
    """One Redis for all points: it has been up for long enough to let the dead be found at once."""
    server = Redis()
    client = server.client()
    wait_for(lambda: client.info("server")["uptime_in_seconds"] > GRACE_S, 30, "the grace's end")
    yield server
    server.destroy()


@pytest.fixture
def server(warm_redis):
    warm_redis.client().flushall()
    return warm_redis


@pytest.fixture
def finals(server):
    finals = Finals(server)
    yield finals
    finals.close()


def points(steps):
    """CRASH_AT for each visit of each step."""
    return [f"{step}.{stage}:{visit}" for step, visits in steps.items() for visit in visits
            for stage in ("before", "after")]


class Load:
    """A little of everything that can happen to a message."""

    def __init__(self, server, path):
        self.jobs = Jobs(server)
        self.path = path
        self.ends = {}
        self.labels = []
        self.nameless = 0
        self.dead = 0
        self.unreadable = 0

    def send(self, ends, task, args=(), kwargs=None, **more):
        task_id, text = celery_message(task, args, kwargs, **more)
        self.ends[task_id] = ends
        self.dead += ends[0] == "FAILURE"
        self.jobs.redis.lpush("celery", text)

    def send_append(self, label, **more):
        self.labels.append(label)
        self.send(("SUCCESS", label), "test.append", (str(self.path), label), **more)

    def send_chain(self):
        """One task and the next; the next one's id is in the message."""
        next_id = str(uuid.uuid4())
        self.labels.append("second")
        self.ends[next_id] = ("SUCCESS", "second")
        step = {"task": "test.append", "args": [str(self.path), "second"], "kwargs": {},
                "options": {"task_id": next_id}, "subtask_type": None, "immutable": True}
        self.send_append("first", embed={"chain": [step]})

    def send_all(self, client):
        jobs = self.jobs
        for n in range(4):
            self.send_append(f"plain {n}")
        self.send(("SUCCESS", 1), "test.fail", (), {"class": "retryable", "succeed_after": 1})
        self.send(("SUCCESS", "slept"), "test.tracked", (0.01,))
        self.send(("FAILURE", "KeyError"), "test.fail", ("KeyError", "gone"))
        self.send(("FAILURE", "WorkerLostError"), "test.crash")
        soon = datetime.now(timezone.utc) + timedelta(seconds=0.7)
        self.send_append("at a time", eta=soon.isoformat())
        self.send_chain()
        self.send_canvas(client)
        for raw in ("no message", "{}"):
            jobs.push(raw=raw)
            self.unreadable += 1
        self.labels.append("nameless")
        self.nameless += 1
        jobs.push("test.append", str(self.path), "nameless", id=None, countdown=0.2)

    def send_canvas(self, client):
        """A chord of a real client: three parts, then their sum."""
        parts = [client.signature("test.add", args=(n, 10)) for n in range(3)]
        body = client.signature("test.sum")
        result = chord(parts, app=client)(body)
        self.ends[result.id] = ("SUCCESS", 33)
        for n, part in enumerate(result.parent.results):
            self.ends[part.id] = ("SUCCESS", n + 10)

    def ended(self):
        return all(d and d["status"] in ("SUCCESS", "FAILURE")
                   for d in self.jobs.documents(list(self.ends)))

    def check(self, finals, deaths=1, given_up=()):
        jobs = self.jobs
        wait_for(self.ended, 30, "the end of every task")
        jobs.quiet()
        jobs.audit()
        found = {i: outcome(jobs.document(i)) for i in self.ends}
        for task_id in given_up:
            found[task_id] = self.ends[task_id]
        assert found == self.ends
        wait_for(lambda: set(self.ends) <= set(finals.of), 5, "every document's publication")
        again = {i: statuses for i, statuses in finals.of.items() if len(statuses) != 1}
        assert not again
        assert jobs.counter("done") == len(self.ends) + self.nameless == len(finals.of)
        assert len(jobs.dead()) == self.dead + len(given_up) and len(jobs.quarantine()) == self.unreadable
        # Every effect is there; where a process died between an effect and its record, again.
        lines = Counter(self.path.read_text(encoding="utf-8").splitlines())
        assert given_up or set(lines) == set(self.labels)
        assert max(lines.values()) <= 1 + deaths


def outcome(document):
    result = document["result"]
    return document["status"], result["exc_type"] if document["status"] == "FAILURE" else result


@pytest.fixture
def client(server):
    yield from celery_client(server)


def expire_heartbeats(jobs):
    """What ten seconds would do."""
    for key in jobs.redis.scan_iter("aion2:worker:*"):
        jobs.redis.delete(key)


def restart(spawn, server, jobs):
    expire_heartbeats(jobs)
    return spawn("aion2-worker", env=worker_env(server))


@pytest.fixture
def load(server, client, tmp_path):
    load = Load(server, tmp_path / "effects")
    load.send_all(client)
    return load


@pytest.mark.parametrize("point", points(STEPS) + RUN_POINTS)
def test_worker_that_dies_at(point, spawn, server, finals, load):
    worker = spawn("aion2-worker", env=worker_env(server, CRASH_AT=point))
    assert worker.wait(40) == -signal.SIGKILL
    restart(spawn, server, load.jobs)
    load.check(finals)


@pytest.mark.parametrize("point", points(STOP_STEPS))
def test_worker_that_dies_while_it_stops_at(point, spawn, server, finals, load):
    for _ in range(3000):
        load.send(("SUCCESS", None), "test.noop")
    env = worker_env(server, CRASH_AT=point, LOG_LEVEL="info")
    worker = spawn("aion2-worker", env=env)
    wait_for(lambda: load.jobs.counter("done") >= 200, what="some tasks done", interval=0.001)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == -signal.SIGKILL
    restart(spawn, server, load.jobs)
    load.check(finals)


@pytest.mark.parametrize("point", CHILD_POINTS)
def test_child_that_dies_at(point, spawn, server, finals, load):
    """Its replacement would die there, too, so the worker is replaced as well."""
    worker = spawn("aion2-worker", env=worker_env(server, CRASH_AT=point, WORKER_CONCURRENCY="1"))
    wait_for(lambda: "event=task.lost" in worker.log() or "event=child." in worker.log(),
             what="the loss of a child")
    worker.kill()
    restart(spawn, server, load.jobs)
    wait_for(load.ended, 30, "the end of every task")
    # The replacement may have died of the same task before we came.
    given_up = [i for i, ends in load.ends.items()
                if ends[0] == "SUCCESS" and worker.log().count(f'task.lost id="{i}"') == 1
                and outcome(load.jobs.document(i)) == ("FAILURE", "WorkerLostError")]
    load.check(finals, deaths=2, given_up=given_up)


@pytest.mark.parametrize("point", BEAT_POINTS)
def test_beat_that_dies_at(point, spawn, server):
    beat = spawn("aion2-beat", env=beat_env(server, 1, TEST_TASKS="1", CRASH_AT=point))
    assert beat.wait() == -signal.SIGKILL
    sent = len(slots(server))
    again = spawn("aion2-beat", env=beat_env(server, 1))
    wait_for(lambda: len(slots(server)) >= sent + 2, what="slots after the restart")
    assert again.stop() == 0
    assert_each_once(server, stood_still_s=1)


def names(folder_glob, pattern):
    return {name for path in REPO.glob(folder_glob)
            for name in re.findall(pattern, path.read_text(encoding="utf-8"))}


def test_every_point_is_tested():
    steps = names("common/*_lua*.c", r'\.name = "([^"]+)"') - OTHER_SCRIPTS
    assert steps == {*STEPS, *STOP_STEPS}
    others = names("*/*.c", r'CRASH_POINT\("([^"]+)"\)') - SHEET_POINTS
    assert others == {point.split(":")[0] for point in RUN_POINTS + CHILD_POINTS + BEAT_POINTS}
