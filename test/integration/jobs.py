"""What tests of the job system share: sending, waiting for results, counting."""

import base64
import json
import threading
import time
import uuid

from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError

from harness import TIMEOUT_SCALE, run_program, wait_for

# A port on which nobody listens: for workers whose tasks need no database.
NO_DATABASE = "postgresql://127.0.0.1:1/nowhere"
BATCH = "app.worker.calculate_power_and_rank_batch"
SEP = "\x06\x16"
QUEUES = ["celery", *(f"celery{SEP}{step}" for step in (3, 6, 9))]
OPEN = """
local n = redis.call('ZCARD', 'aion2:delayed')
for _, queue in ipairs(KEYS) do n = n + redis.call('LLEN', queue) end
for _, boot in ipairs(redis.call('SMEMBERS', 'aion2:workers')) do
    n = n + redis.call('HLEN', 'aion2:held:' .. boot)
end
return n
"""


def worker_env(redis_server, database_url=NO_DATABASE, **more):
    """The environment of a worker with test tasks and short retries."""
    env = {
        "REDIS_URL": redis_server.url,
        "DATABASE_URL": database_url,
        "TEST_TASKS": "1",
        "RETRY_BASE_SECONDS": "0",
        "LOG_LEVEL": "debug",
    }
    env.update(more)
    return env


def celery_client(redis_server):
    """For a fixture: a real client, as somebody else's Python program has it."""
    app = Celery("somebody", broker=redis_server.url, backend=redis_server.url)
    yield app
    # Results unsubscribe when they are collected, which may be after the end of the server.
    app.backend.result_consumer.cancel_for = lambda task_id: None
    app.close()


def value_of(result, timeout=15, **options):
    """result.get(), also where the client did not send the task itself, as with a chord's body.

    Such a result it subscribes to and looks for on two connections, and Redis may read the second
    one first: what is published between the two never reaches the client. So it has to look again.
    """
    deadline = time.monotonic() + timeout * TIMEOUT_SCALE
    while True:
        try:
            return result.get(timeout=2, **options)
        except CeleryTimeoutError:
            if time.monotonic() >= deadline:
                raise


def celery_message(task, args=(), kwargs=None, embed=None, **headers):
    """What a real client sends, for one task: id and bytes. More quickly than the client can."""
    task_id = str(uuid.uuid4())
    follows = {"callbacks": None, "errbacks": None, "chain": None, "chord": None, **(embed or {})}
    body = json.dumps([list(args), kwargs or {}, follows])
    message = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": task, "id": task_id, "shadow": None, "eta": None,
            "expires": None, "group": None, "group_index": None, "retries": 0,
            "timelimit": [None, None], "root_id": task_id, "parent_id": None,
            "argsrepr": repr(tuple(args)), "kwargsrepr": repr(kwargs or {}), "origin": "gen1@lab",
            "ignore_result": False, **headers,
        },
        "properties": {
            "correlation_id": task_id, "reply_to": str(uuid.uuid4()), "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0,
            "body_encoding": "base64", "delivery_tag": str(uuid.uuid4()),
        },
    }
    return task_id, json.dumps(message)


class Finals:
    """Counts the final documents that Redis publishes: ids -> [status, ...]."""

    def __init__(self, redis_server):
        self.of = {}
        self._pubsub = redis_server.client(decode_responses=True).pubsub()
        self._pubsub.psubscribe("celery-task-meta-*")
        self._pubsub.get_message(timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        while not self._stop.is_set():
            message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            doc = json.loads(message["data"]) if message else {"status": None}
            if doc["status"] in ("SUCCESS", "FAILURE", "REVOKED"):
                self.of.setdefault(doc["task_id"], []).append(doc["status"])

    def close(self):
        self._stop.set()
        self._thread.join()
        self._pubsub.close()


def slots_of(beat):
    """How many slots a beat has decided on: sent, or skipped because the one before waits."""
    return beat.log().count("event=beat.sent ") + beat.log().count("event=beat.skipped ")


class Jobs:
    """The job system seen from Redis."""

    def __init__(self, redis_server):
        self.server = redis_server
        self.redis = redis_server.client(decode_responses=True)

    def push(self, task=None, *args, queue="celery", raw=None, **members):
        """LPUSHes a plain message (or raw) and returns its id."""
        message = {"task": task, "id": str(uuid.uuid4()), "args": list(args), **members}
        message = {k: v for k, v in message.items() if v is not None}
        self.redis.lpush(queue, raw if raw is not None else json.dumps(message))
        return message.get("id")

    def push_many(self, texts, queue="celery"):
        """LPUSHes all of them, the first one first."""
        for start in range(0, len(texts), 1000):
            self.redis.lpush(queue, *texts[start:start + 1000])

    def documents(self, ids):
        """The documents of many tasks, None for those that have none."""
        found = []
        for start in range(0, len(ids), 1000):
            keys = [f"celery-task-meta-{i}" for i in ids[start:start + 1000]]
            found += [json.loads(text) if text else None for text in self.redis.mget(keys)]
        return found

    def document(self, task_id):
        text = self.redis.get(f"celery-task-meta-{task_id}")
        return json.loads(text) if text else None

    def ended(self, task_id, timeout=15):
        """Waits for the final document."""

        def final():
            doc = self.document(task_id)
            return doc if doc and doc["status"] in ("SUCCESS", "FAILURE", "REVOKED") else None

        return wait_for(final, timeout, f"the end of task {task_id}")

    def counters(self):
        return {k: int(v) for k, v in self.redis.hgetall("aion2:counters").items()}

    def counter(self, name):
        return int(self.redis.hget("aion2:counters", name) or 0)

    def held(self):
        """Messages that workers hold, by boot id."""
        found = {}
        for boot in self.redis.smembers("aion2:workers"):
            for text in self.redis.hvals(f"aion2:held:{boot}"):
                found.setdefault(boot, []).append(text)
        return found

    def held_count(self):
        return sum(self.redis.hlen(f"aion2:held:{boot}")
                   for boot in self.redis.smembers("aion2:workers"))

    def waiting(self):
        return sum(self.redis.llen(queue) for queue in QUEUES)

    def open_count(self):
        """How many tasks are queued, delayed or held, in one step: read one after the other, a task
        on its way from one to the next could be seen nowhere."""
        return self.redis.eval(OPEN, len(QUEUES), *QUEUES)

    def balance(self):
        """What was taken minus what became of it; 0 unless something was lost or counted twice."""
        c = self.counters()
        ends = ("done", "retried", "delayed", "requeued", "recovered", "quarantined")
        return c.get("taken", 0) - sum(c.get(k, 0) for k in ends) - self.held_count()

    def differences(self):
        """The sums that the counters and keys must make; those that do not, with how much is off."""
        c, r = self.counters(), self.redis
        n = lambda *names: sum(c.get(name, 0) for name in names)  # noqa: E731
        sums = {
            "holds": self.balance(),
            "delayed": n("delayed", "retried") - n("due", "delayed_dropped")
            - r.zcard("aion2:delayed"),
            "dead": n("dead") - n("dead_trimmed", "dead_retried", "dead_dropped")
            - r.llen("aion2:dead"),
            "quarantine": n("quarantined", "quarantine_foreign")
            - n("quarantine_trimmed", "quarantine_replayed", "quarantine_dropped")
            - r.llen("aion2:quarantine"),
        }
        return {name: off for name, off in sums.items() if off}

    def quiet(self, timeout=15):
        """Waits until nothing is queued, delayed or held; the counters must add up then."""
        wait_for(lambda: self.open_count() == 0, timeout, "the queue to be worked off")
        assert self.differences() == {}, self.counters()

    def audit(self):
        """What aion2ctl counts; every difference must be 0."""
        done = run_program("aion2ctl", "audit", "--json", env={"REDIS_URL": self.server.url})
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def running(self):
        """Ids of tasks that run, as the heartbeats tell."""
        ids = []
        for boot in self.redis.smembers("aion2:workers"):
            text = self.redis.get(f"aion2:worker:{boot}")
            if text:
                ids += [r["id"] for r in json.loads(text)["running"]]
        return ids

    def dead(self):
        return [json.loads(t) for t in self.redis.lrange("aion2:dead", 0, -1)]

    def quarantine(self):
        return [json.loads(t) for t in self.redis.lrange("aion2:quarantine", 0, -1)]
