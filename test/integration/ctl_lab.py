"""What the tests of aion2ctl's commands share: the program with Redis only, a stock Celery worker,
terminals of any width."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import run_program, start_process, wait_for

HERE = Path(__file__).resolve().parent
ESC = "\033"
# What no output for people may hold, whatever was in Redis.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
# A text that tries everything: colours, the title, a line of its own, right-to-left, C1, Korean.
HOSTILE = "\033[31mred\033]0;title\007\r\nsecond\u202eright\u2066left\u009b2J안녕 \\ \" \x7f"


def redis_ctl(server, **more_env):
    """ctl("dead", "list"): runs aion2ctl against that Redis."""

    def run(*args, **kwargs):
        return run_program("aion2ctl", *args,
                           env={"REDIS_URL": server.url, **more_env, **kwargs.pop("env", {})},
                           **kwargs)

    return run


def json_of(done, code=0):
    """The one JSON line that a command printed."""
    assert done.returncode == code, (done.returncode, done.stderr, done.stdout)
    assert done.stdout.count("\n") == 1 and not HARMFUL.search(done.stdout.rstrip("\n"))
    return json.loads(done.stdout)


def start_celery(server, log, *options):
    """A stock worker named w1@lab; ready when this returns."""
    argv = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--loglevel=INFO",
            "-n", "w1@lab", *options]
    proc = start_process(
        argv, log, cwd=HERE,
        env=harness.clean_env({"REDIS_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1",
                               "C_FORCE_ROOT": "1"}))
    wait_for(lambda: " ready." in log.read_text(), 60, "the Celery worker")
    return proc


def stop(proc):
    proc.terminate()
    try:
        proc.wait(20)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


@pytest.fixture
def stock_worker(redis_server, tmp_path):
    """Two processes, with events."""
    proc = start_celery(redis_server, tmp_path / "celery.log", "-c", "2", "-E", "--without-mingle",
                        "--without-gossip")
    yield proc
    stop(proc)


def on_a_terminal(env, *args, columns=80, code=0):
    """What aion2ctl writes when standard output is a terminal of that width."""
    master, slave = pty.openpty()
    proc = subprocess.Popen(
        [harness.bin_dir() / "aion2ctl", *args], stdin=subprocess.DEVNULL, stdout=slave,
        env=harness.clean_env({"TERM": "xterm", "COLUMNS": str(columns), **env}))
    os.close(slave)
    data = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # what a pseudo terminal says at its end
            break
        data += piece
    os.close(master)
    assert proc.wait(60) == code
    return data.decode().replace("\r\n", "\n")


def without_colours(text):
    return re.sub(ESC + r"\[\d*m", "", text)
