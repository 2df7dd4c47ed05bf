"""Helpers of the tests about schedules: a Redis whose clock can be put, tables, ledgers."""

import json
import mmap
import struct
import subprocess

from harness import REPO

TABLE, REV = "aion2:schedules", "aion2:schedules:rev"


class Clock:
    """Puts the wall clock of a Redis server; its other clocks run on."""

    def __init__(self, make_redis, folder):
        library, file = folder / "put_clock.so", folder / "ahead"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library,
                        REPO / "test" / "integration" / "put_clock.c"], check=True)
        file.write_bytes(bytes(8))
        with open(file, "r+b") as f:
            self._ahead = mmap.mmap(f.fileno(), 8)
        self.redis = make_redis(env={"LD_PRELOAD": str(library), "PUT_CLOCK_FILE": str(file)})

    def put(self, seconds):
        """Redis' clock is this far ahead of the machine's from now on."""
        self._ahead[:] = struct.pack("q", seconds)


def define(server, name, **members):
    """Puts a schedule into the table as aion2ctl does."""
    pipe = server.client().pipeline()
    pipe.hset(TABLE, name, json.dumps(members))
    pipe.incr(REV)
    pipe.execute()


def sent(server, queue="celery"):
    """Messages in the queue, oldest first."""
    return [json.loads(m) for m in reversed(server.client().lrange(queue, 0, -1))]


def slots_of(server, task, queue="celery"):
    """The slots for which this task was sent, in the order of sending."""
    return [m["headers"]["aion2_slot"] for m in sent(server, queue) if m["headers"]["task"] == task]


def ledger(server, name):
    """Oldest first."""
    return [json.loads(e) for e in reversed(
        server.client().lrange(f"aion2:beat:ledger:{name}", 0, -1))]


def now(server):
    return server.client().time()[0]
