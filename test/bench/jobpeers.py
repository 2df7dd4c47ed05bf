"""Job systems that drain a full queue: ours, Celery, Sidekiq and RQ, each with two processes.

Each has a database of its own on the same Redis. A queue is filled aside and put into place by one
RENAME, so that the clock starts with everything there.
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import uuid

from celery import Celery

from harness import clean_env, children_of, start_process, wait_for
import rig

HERE = pathlib.Path(__file__).resolve().parent
PROCESSES = 2
SIDEKIQ_THREADS = 10  # its default
STAGED = "staged"
META = "celery-task-meta-"
NO_DATABASE = "postgresql://127.0.0.1:1/nowhere"
# Where the prepared messages lie; nobody works on it.
STORE_DB, OUR_DB, CELERY_DB, SIDEKIQ_DB, RQ_DB = 9, 0, 1, 2, 3
START_TIMEOUT_S = 60


def url_of(bench, number):
    return bench.redis.url.removesuffix("/0") + f"/{number}"


# -- messages -----------------------------------------------------------------------------------

class Messages:
    """What a Celery client sends for one task: caught once, then copied with ids of their own."""

    def __init__(self, bench, task):
        self.task = task
        client = bench.redis.client(db=STORE_DB, decode_responses=True)
        app = Celery("client", broker=url_of(bench, STORE_DB))
        app.send_task(task, queue="caught")
        app.close()
        self.first = client.rpop("caught")
        document = json.loads(self.first)
        self.task_id = document["headers"]["id"]
        self.tag = document["properties"]["delivery_tag"]
        self.dice = random.Random(20251)
        # The client's own list takes the place of this one only in the message.
        self.first = self.first.replace('"caught"', '"celery"')

    def _uuid(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))

    def make(self):
        """A new message and its task id."""
        task_id = self._uuid()
        return self.first.replace(self.task_id, task_id).replace(self.tag, self._uuid()), task_id


def store_messages(bench, messages, count):
    """Loads `count` messages into the store by redis-cli --pipe."""
    path = bench.folder / f"{messages.task}.resp"
    with open(path, "wb") as file:
        for _ in range(count):
            text = messages.make()[0].encode()
            file.write(b"*3\r\n$5\r\nLPUSH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n"
                       % (len(STAGED), STAGED.encode(), len(text), text))
    with open(path, "rb") as file:
        subprocess.run(["redis-cli", "-p", str(bench.redis.port), "-n", str(STORE_DB), "--pipe"],
                       stdin=file, stdout=subprocess.DEVNULL, check=True)
    path.unlink()


# -- the competitors ----------------------------------------------------------------------------

class Peer:
    """A job system that runs between start() and stop()."""

    name = ""
    database = 0
    queue = "celery"
    share = 1.0  # of the number of tasks; slow ones get fewer
    always_on = True  # stays up between its runs

    def __init__(self, bench):
        self.bench = bench
        self.url = url_of(bench, self.database)
        self.client = bench.redis.client(db=self.database, decode_responses=True)
        self.processes = []

    def command(self):
        raise NotImplementedError

    def commands(self):
        """One command per process to start."""
        return [self.command()]

    def env(self):
        return clean_env({"PEER_REDIS_URL": self.url, "REDIS_URL": self.url,
                          "PYTHONDONTWRITEBYTECODE": "1"})

    def start(self):
        log = self.bench.folder / f"{self.name}.log"
        self.processes = [start_process(argv, log, self.env(), cwd=HERE)
                          for argv in self.commands()]
        wait_for(self.ready, START_TIMEOUT_S, f"{self.name} being ready")

    def ready(self):
        raise NotImplementedError

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes = []

    def pids(self):
        """Every process of it."""
        parents = [process.pid for process in self.processes]
        return parents + [child for pid in parents for child in children_of(pid)]

    def count(self, tasks):
        return max(20, int(tasks * self.share))

    def fill(self, count):
        """Puts `count` tasks aside."""
        raise NotImplementedError

    def release(self):
        self.client.rename(STAGED, self.queue)

    def ended(self, count):
        """True when `count` tasks have ended."""
        raise NotImplementedError

    def check(self, count):
        """Raises when the tasks did not end as they should; forgets them."""


class CeleryKind(Peer):
    """Whatever speaks Celery's protocol: the same messages, the same results."""

    def fill(self, count):
        store = self.bench.redis.client(db=STORE_DB)
        store.copy(STAGED, STAGED, destination_db=self.database, replace=True)
        self.client.ltrim(STAGED, -count, -1)

    def ended(self, count):
        # Beside the results there are a few keys of its own; check() counts exactly.
        return self.client.dbsize() >= count

    def results(self):
        return list(self.client.scan_iter(META + "*", count=10_000))

    def check(self, count):
        wait_for(lambda: not self.client.exists(self.queue) and len(self.results()) >= count,
                 30, f"{count} results of {self.name}")
        keys = self.results()
        bad = [text for text in self.client.mget(keys[:1000]) if '"SUCCESS"' not in text]
        if bad or len(keys) != count:
            raise rig.BenchError(f"{self.name}: {len(keys)} results of {count} tasks {bad[:1]}")
        self.forget(keys)

    def forget(self, keys):
        for start in range(0, len(keys), 10_000):
            self.client.unlink(*keys[start:start + 10_000])


class Ours(CeleryKind):
    name = "aion2-worker"
    database = OUR_DB

    def command(self):
        return [rig.BIN / "aion2-worker"]

    def env(self):
        return {**super().env(), "DATABASE_URL": NO_DATABASE, "TEST_TASKS": "1",
                "WORKER_CONCURRENCY": str(PROCESSES), "LOG_LEVEL": "warn"}

    def ready(self):
        return self.client.scard("aion2:workers") == 1


class CeleryPrefork(CeleryKind):
    name = "Celery prefork"
    database = CELERY_DB
    share = 1 / 20

    def command(self):
        return [sys.executable, "-m", "celery", "-A", "peer_jobs.celery_app", "worker",
                "-c", PROCESSES, "-l", "warning"]

    def ready(self):
        log = (self.bench.folder / f"{self.name}.log").read_text(encoding="utf-8")
        return " ready." in log or self.client.exists("_kombu.binding.celery.pidbox")


class Sidekiq(Peer):
    name = "Sidekiq"
    database = SIDEKIQ_DB
    queue = "queue:default"
    share = 1 / 4
    always_on = False

    def command(self):
        return ["sidekiq", "-r", "./peer_jobs/sidekiq_app.rb", "-e", "production"]

    def commands(self):
        return [self.command()] * PROCESSES

    def ready(self):
        return self.client.scard("processes") == PROCESSES

    def fill(self, count):
        with open(self.bench.folder / f"{self.name}.log", "ab") as log:
            subprocess.run(["ruby", "peer_jobs/sidekiq_fill.rb", STAGED, str(count)], cwd=HERE,
                           env=self.env(), stdout=log, stderr=log, check=True)
        self.client.rename(f"queue:{STAGED}", STAGED)

    def ended(self, count):
        # It stores no results and counts what it did only now and then.
        return not self.client.exists(self.queue)

    def check(self, count):
        self.stop()
        # Stopped while their last jobs end, its threads may not get to count them.
        done = int(self.client.get("stat:processed") or 0)
        if done < count - PROCESSES * SIDEKIQ_THREADS:
            raise rig.BenchError(f"Sidekiq counted {done} of {count} jobs")
        self.client.flushdb()


class Rq(Peer):
    name = "RQ"
    database = RQ_DB
    queue = "rq:queue:bench"
    share = 1 / 300
    always_on = False

    def command(self):
        return [sys.executable, "-m", "rq.cli", "worker", "--url", self.url, "--quiet", "bench"]

    def commands(self):
        return [self.command()] * PROCESSES

    def ready(self):
        return self.client.scard("rq:workers") == PROCESSES

    def fill(self, count):
        # pylint: disable=import-outside-toplevel
        from rq import Queue
        queue = Queue("bench", connection=self.bench.redis.client(db=self.database))
        for _ in range(count):
            queue.enqueue("peer_jobs.rq_tasks.noop")
        self.client.rename(self.queue, STAGED)

    def ended(self, count):
        return self.client.zcard("rq:finished:bench") == count

    def check(self, count):
        self.stop()
        self.client.flushdb()


@contextlib.contextmanager
def running(*peers):
    """All of them, started one after the other; stopped at the end."""
    started = []
    try:
        for peer in peers:
            started.append(peer)
            peer.start()
        yield
    finally:
        for peer in started:
            peer.stop()
