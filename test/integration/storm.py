"""A storm: mixed load on several workers and beats while processes and Redis are killed at random.

Each message is sent by a script that notes its id in the same step, so a push whose answer was lost
is repeated safely, and afterwards it is known what Redis itself still knows of.
"""

import os
import random
import re
import signal
import time
import uuid

import redis

from harness import children_of, wait_for
from jobs import celery_message

SENT = "storm:sent"
SEND = """
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then redis.call('LPUSH', KEYS[1], ARGV[2]) end
"""
BURST = 40
# A task whose child dies this often is given up; that is no loss.
LOSSES_MAX = 2

# name -> (task, args, kwargs, headers), the status and result that it has to end with; n is the
# number of the message.
KINDS = {
    "add": lambda n: (("test.add", (n, 1), {}), ("SUCCESS", n + 1)),
    "sleep": lambda n: (("test.sleep", (n % 5 / 40,), {}), ("SUCCESS", "slept")),
    "retry": lambda n: (("test.fail", (), {"class": "retryable", "succeed_after": 1}),
                        ("SUCCESS", 1)),
    "dead": lambda n: (("test.fail", ("KeyError", "gone"), {}), ("FAILURE", "KeyError")),
    "chain": lambda n: (("test.add", (n, 3), {}), ("SUCCESS", n + 3)),
    "later": lambda n: (("test.add", (n, 2), {}), ("SUCCESS", n + 2)),
}
WEIGHTS = {"add": 30, "sleep": 45, "retry": 8, "dead": 4, "later": 8, "chain": 5}


class Load:
    """Messages of all kinds and what each has to end with."""

    def __init__(self, connect, seed):
        self.connect = connect  # a fresh client of whoever is the master now
        self.client = connect()
        self.dice = random.Random(seed)
        self.expected = {}
        self.followers = {}  # of a chain's first task
        self.unreadable = 0

    def _send(self, name, text, deadline_s=60):
        """Until Redis says that it has it, however often it goes away meanwhile."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                self.client.eval(SEND, 2, "celery", SENT, name, text)
                return
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                self.client = self.connect()

    def send(self):
        n = len(self.expected)
        if self.dice.random() < 0.01:
            self.unreadable += 1
            self._send(f"unreadable {self.unreadable}", f"no message {self.unreadable}")
            return
        (kind,) = self.dice.choices(list(WEIGHTS), WEIGHTS.values())
        (task, args, kwargs), ends = KINDS[kind](n)
        headers, follower = {}, None
        if kind == "chain":
            follower = str(uuid.uuid4())
            step = {"task": "test.add", "args": [1], "kwargs": {}, "subtask_type": None,
                    "options": {"task_id": follower}, "immutable": False}
            headers["embed"] = {"chain": [step]}
        if kind == "later":
            due = time.gmtime(time.time() + self.dice.choice([1, 2, 3]))
            headers["eta"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", due)
        task_id, text = celery_message(task, args, kwargs, **headers)
        self.expected[task_id] = ends
        if follower:
            self.followers[task_id] = follower
            self.expected[follower] = ("SUCCESS", n + 4)
        self._send(task_id, text)

    def survivors(self):
        """Ids that Redis still knows to have been sent, and what follows them."""
        known = {text.decode() for text in self.client.smembers(SENT)}
        known |= {self.followers[task_id] for task_id in known & self.followers.keys()}
        return [task_id for task_id in self.expected if task_id in known]

    def unreadable_survivors(self):
        """How many of the unreadable messages Redis still knows of."""
        return sum(name.startswith(b"unreadable ") for name in self.client.smembers(SENT))


class Deeds:
    """What is done to the processes; each a method without arguments."""

    def __init__(self, dice, workers, beats, servers):
        self.dice = dice
        self.workers = workers
        self.beats = beats
        self.servers = servers
        self.bag = []
        self.done = {}

    def kill_child(self):
        pids = children_of(self.dice.choice(self.workers).pid)
        if pids:
            try:
                os.kill(self.dice.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_worker(self):
        self._again(self.dice.choice(self.workers))

    def kill_beat(self):
        self._again(self.dice.choice(self.beats))

    def restart_redis(self):
        server = self.dice.choice(self.servers)
        server.kill()
        server.start()

    @staticmethod
    def _again(program):
        program.kill()
        program.start()

    def next_of(self, weights):
        """One deed, drawn from a bag that holds each as often as its weight says."""
        if not self.bag:
            self.bag = [name for name, weight in weights.items() for _ in range(weight)]
            self.dice.shuffle(self.bag)
        name = self.bag.pop()
        self.done[name] = self.done.get(name, 0) + 1
        getattr(self, name)()


class SentinelDeeds(Deeds):
    """The same around Sentinels: a master that dies and comes back as a replica, and failovers that
    are asked for."""

    def __init__(self, dice, workers, beats, lab):
        super().__init__(dice, workers, beats, lab.servers)
        self.lab = lab
        self.dead = None

    def kill_master(self):
        self.mend()
        self.dead = self.lab.master
        self.dead.kill()

    def failover(self):
        self.mend()
        self.lab.sentinels[0].client().sentinel_failover("main")

    def mend(self):
        """Until all servers are there again and agree."""
        if self.dead:
            self.lab.wait_other_master(self.dead)
            self.lab.revive(self.dead)
            self.dead = None
        else:
            self.lab.wait_settled()


def rage(load, deeds, weights, messages, seconds, pause_s):
    """Sends `messages` over `seconds`, with a deed every `pause_s` on average."""
    start = time.monotonic()
    next_deed, sent = start + pause_s, 0
    while sent < messages or time.monotonic() < start + seconds:
        passed = time.monotonic() - start
        wanted = min(messages, messages * passed / seconds + BURST)
        if start + passed >= next_deed and passed < seconds:
            deeds.next_of(weights)
            next_deed = time.monotonic() + load.dice.uniform(0.2, 1.8) * pause_s
        elif sent < wanted:
            load.send()
            sent += 1
        else:
            time.sleep(0.01)


def times_lost(workers):
    """How often each task's child died, by the logs."""
    found = {}
    for worker in workers:
        for task_id in re.findall(r'event=task\.lost id="([^"]+)"', worker.log()):
            found[task_id] = found.get(task_id, 0) + 1
    return found


def judge(load, jobs, workers, ids):
    """Each of the ids has ended as it should; a task that killed its children may have been given
    up. Returns how many were, and how many of the deaths that take are in no log: a worker may be
    killed between the count in Redis and its line, so the caller holds them against those kills."""
    losses, given_up, unlogged, wrong = times_lost(workers), 0, 0, {}
    for task_id, document in zip(ids, jobs.documents(ids)):
        found = outcome(document)
        if found == load.expected[task_id]:
            continue
        if found == ("FAILURE", "WorkerLostError") and losses.get(task_id, 0) > 0:
            given_up += 1
            unlogged += max(0, LOSSES_MAX - losses[task_id])
            continue
        wrong[task_id] = (found, load.expected[task_id])
    assert not wrong, f"{len(wrong)} of {len(ids)} did not end well: {dict(list(wrong.items())[:5])}"
    return given_up, unlogged


def outcome(document):
    if document is None:
        return "none", None
    result = document["result"]
    return document["status"], result["exc_type"] if document["status"] == "FAILURE" else result


def settle(jobs, timeout):
    """Waits until nothing is queued, delayed or held."""
    wait_for(lambda: jobs.open_count() == 0, timeout, "the storm's tasks to be done", interval=0.1)
