"""aion2ctl top: the live screen on a pseudo terminal, and what it leaves behind there."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import unicodedata

import pytest

import harness
from ctl_lab import HARMFUL, HOSTILE, json_of
from harness import wait_for
from jobs import Jobs
from remote_lab import start_worker

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
PANES = ["1 Running", "2 Queue", "3 Worker", "4 Schedule", "5 Batch", "6 Dead letter"]


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class Screen:
    """aion2ctl top on a terminal of its own."""

    def __init__(self, env, *args, rows=24, cols=80):
        self.master, self.slave = pty.openpty()
        self.size(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.proc = subprocess.Popen(
            [harness.bin_dir() / "aion2ctl", "top", *args], stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=harness.clean_env({**env, "TERM": "xterm"}))
        self.bytes = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.bytes += chunk

    def size(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def frames(self):
        """Whole frames: each begins at the top left and ends by clearing what is below."""
        text = self.bytes.decode("utf-8", "replace")
        return [f.split("\x1b[J")[0] for f in text.split("\x1b[H")[1:] if "\x1b[J" in f]

    def lines(self):
        """What stands there now, without colours."""
        frames = self.frames()
        return [re.sub("\x1b\\[[0-9;]*[mK]|\r", "", line) for line in frames[-1].split("\n")] if frames else []

    def see(self, *words, what=None):
        def seen():
            text = "\n".join(self.lines())
            assert self.proc.poll() is None or all(w in text for w in words), self.bytes[-2000:]
            return text if all(w in text for w in words) else None

        return wait_for(seen, 20, what or f"{words} on the screen")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def wait(self):
        code = self.proc.wait(20)
        wait_for(lambda: self.bytes.count(LEAVE) == self.bytes.count(ENTER), what="the end of the output")
        return code

    def restored(self):
        """The terminal is as it was: its modes, its buffer, its cursor, its line wrap."""
        assert termios.tcgetattr(self.slave) == self.before
        last = self.bytes.rindex(LEAVE)
        assert last > self.bytes.rindex(ENTER)
        for on in (b"\x1b[?25h", b"\x1b[?7h"):
            assert on in self.bytes[last - 40:last]
        return True

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(10)
        os.close(self.slave)
        os.close(self.master)
        self.reader.join(5)


@pytest.fixture
def screen(env):
    made = []

    def start(*args, **more):
        made.append(Screen(env, *args, **more))
        return made[-1]

    yield start
    for s in made:
        s.close()


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def fits(lines, rows, cols):
    assert len(lines) <= rows and [line for line in lines if width(line) > cols] == []
    return True


# ------------------------------------------------------------------------------------ the screen


def test_everything_is_on_one_screen(screen, spawn, redis_server, env, jobs):
    start_worker(spawn, redis_server, "w1@lab", WORKER_CONCURRENCY=2)
    spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})
    task = jobs.push("test.sleep", 60)
    jobs.ended(jobs.push("test.fail", "boom", max_retries=0))
    s = screen("--interval", "1s")
    s.see("test.sleep", task[:8], "1 of 2", "Beats     1", "Workers 1", "1 of 2 children busy", "every 86400 s",
          "test.fail", "boom", "all accounted for", "done 0.0/s")
    lines = s.lines()
    assert fits(lines, 24, 80) and all(any(line.startswith(p) for line in lines) for p in PANES)
    assert lines[0].startswith("aion2rank") and lines[-1].startswith("q quit")
    jobs.push("test.add", 1, 2)
    wait_for(lambda: re.search("done 0.[5-9]|done 1", "\n".join(s.lines())), 20, "the rate")
    s.press("q")
    assert s.wait() == 0 and s.restored()


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130),
                                       (signal.SIGSEGV, -signal.SIGSEGV), (signal.SIGABRT, -signal.SIGABRT)])
def test_the_terminal_is_as_it_was_whatever_ends_it(screen, how, code):
    s = screen()
    s.see("Ranking")
    assert termios.tcgetattr(s.slave) != s.before
    s.proc.send_signal(how)
    assert s.wait() == code and s.restored()


def test_control_c(screen):
    s = screen()
    s.see("Ranking")
    s.press("\x03")
    assert s.wait() == 130 and s.restored()


def test_control_z_gives_the_terminal_back_for_a_while(screen):
    s = screen()
    s.see("Ranking")
    s.press("\x1a")
    pid, status = os.waitpid(s.proc.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    wait_for(lambda: LEAVE in s.bytes, what="the terminal")
    assert s.restored()
    shown = len(s.frames())
    s.proc.send_signal(signal.SIGCONT)
    wait_for(lambda: len(s.frames()) > shown and s.bytes.count(ENTER) == 2, what="the screen again")
    s.press("q")
    assert s.wait() == 0 and s.restored()


def test_it_follows_the_size(screen, jobs):
    for i in range(60):
        jobs.redis.lpush("aion2:dead", json.dumps({"at": 5, "id": f"id-{i}", "task": "reports.daily." + "x" * 60,
                                                   "error": "E: " + "could not " * 20, "retries": 3, "b64": "e30="}))
    s = screen()
    s.see("6 Dead letter")
    for rows, cols in ((40, 150), (10, 30), (3, 200), (60, 300), (24, 80)):
        before = len(s.frames())
        s.size(rows, cols)
        s.proc.send_signal(signal.SIGWINCH)
        wait_for(lambda n=before: len(s.frames()) > n, what="a frame of that size")
        wait_for(lambda r=rows, c=cols: fits(s.lines(), r, c), what="the size")
    assert "of 20" in s.see("6 Dead letter, ")
    s.press("6")
    s.see("6 Dead letter, 16 of 20")
    assert fits(s.lines(), 24, 80)


def test_keys(screen):
    s = screen("--interval", "3600s")
    s.see(*PANES)
    for key, pane in enumerate(PANES, 1):
        s.press(str(key))
        s.see(pane, "0 all")
        assert sum(any(line.startswith(p) for line in s.lines()) for p in PANES) == 1
    for key in ("0", "\x1b", "\t\t\t\t\t\t\t"):
        s.press("3")
        s.see("0 all")
        s.press(key)
        s.see("1-6 one of them") if key != "\t\t\t\t\t\t\t" else s.see("3 Worker", "0 all")
    s.press("h")
    s.see("halted")
    s.press("h")
    s.press("+")
    s.see("every 1800 s")
    s.press("-")
    s.see("every 3600 s")
    shown = len(s.frames())
    s.press("\x1b[A")  # an arrow is no Esc
    s.press(" ")
    wait_for(lambda: len(s.frames()) > shown, what="a look")
    assert "0 all" in s.lines()[-1]


def test_the_end_of_the_terminal_ends_it(env):
    s = Screen(env)
    s.see("Ranking")
    os.close(s.slave)
    os.close(s.master)
    assert s.proc.wait(20) == 130


def test_it_outlives_its_servers(screen, redis_server, pg):
    s = screen("--interval", "1s")
    s.see("Redis 7", "PostgreSQL 1")
    redis_server.stop()
    text = s.see("Redis DOWN")
    assert "not known" in text and fits(s.lines(), 24, 80)
    redis_server.start()
    s.see("Redis 7", "ready 0")


def test_hostile_names_command_nothing(screen, redis_server, ctl):
    r = redis_server.client()
    now = r.time()[0]
    r.lpush("celery", json.dumps({"task": HOSTILE, "id": HOSTILE, "args": []}))
    r.lpush("aion2:dead", json.dumps({"at": now, "id": HOSTILE, "task": HOSTILE, "error": HOSTILE, "retries": 1,
                                      "b64": ""}))
    r.sadd("aion2:workers", "b")
    r.set("aion2:worker:b", json.dumps({
        "name": HOSTILE, "pid": 1, "children": 2, "queue": HOSTILE, "queues": [HOSTILE], "running": [
            {"id": HOSTILE, "task": HOSTILE, "since": now - 5, "progress": {"phase": HOSTILE, "done": 1, "of": 2}}]}))
    r.hset("aion2:schedules", "s", json.dumps({"task": "t", "every": 60, "paused": {"reason": HOSTILE[:90], "by": "k",
                                                                                         "since": now}}))
    s = screen()
    s.see("50%")
    for key, pane in enumerate(PANES, 1):
        s.press(str(key))
        s.see(pane, "0 all")
        assert fits(s.lines(), 24, 80)
        for line in s.lines():
            assert not HARMFUL.search(line), line
    done = ctl("top", "--once")
    assert done.returncode == 0 and not any(HARMFUL.search(line) for line in done.stdout.split("\n"))
    assert json_of(ctl("top", "--once", "--json"))["dead_letters"][0]["task"] == HOSTILE


# -------------------------------------------------------------------------------------- programs


def test_once(ctl, jobs):
    done = ctl("top", "--once")
    assert done.returncode == 0 and "\x1b" not in done.stdout and "Messages  all accounted for" in done.stdout
    assert ctl("top").stdout.startswith("aion2rank")  # no terminal
    doc = json_of(ctl("top", "--once", "--json"))
    assert doc["queues"][0]["name"] == "celery" and "rates" not in doc
    doc = json_of(ctl("top", "--once", "--json", "--interval", "1s"))
    assert doc["rates"]["over_s"] >= 1 and doc["rates"]["taken"] == 0 and doc["queues"][0]["change"] == 0


def test_json_again_and_again(env):
    proc = subprocess.Popen([harness.bin_dir() / "aion2ctl", "top", "--json", "--interval", "1s"],
                            stdout=subprocess.PIPE, env=harness.clean_env(env))
    docs = [json.loads(proc.stdout.readline()) for _ in range(2)]
    proc.send_signal(signal.SIGINT)
    assert proc.wait(20) == 130
    proc.stdout.close()
    assert "rates" not in docs[0] and docs[1]["rates"]["over_s"] > 0


def test_once_without_servers(ctl, env):
    env["REDIS_URL"] = "redis://127.0.0.1:1/0"
    done = ctl("top", "--once")
    assert done.returncode == 69 and "Redis DOWN" in done.stdout
    assert json.loads(ctl("top", "--once", "--json").stdout)["redis"]["reachable"] is False


def test_a_look_asks_little(redis_server, ctl, jobs):
    """However much there is, a look is a handful of commands and brings little over."""
    pipe = redis_server.client().pipeline()
    for i in range(3000):
        pipe.lpush("celery", json.dumps({"task": "t", "id": str(i), "args": ["x" * 1000]}))
        pipe.lpush("aion2:dead", json.dumps({"at": 5, "id": str(i), "task": "t", "error": "e", "retries": 0,
                                             "b64": "e30=" * 1000}))
    pipe.execute()
    ctl("top", "--once")  # loads the scripts
    before = redis_server.client().info()
    ctl("top", "--once")
    after = redis_server.client().info()
    assert after["total_commands_processed"] - before["total_commands_processed"] < 200
    assert after["total_net_output_bytes"] - before["total_net_output_bytes"] < 100_000
