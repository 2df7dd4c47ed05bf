"""What every integration test needs: waiting, ports, temp folders, child processes that die with us."""

import ctypes
import fcntl
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TEST_DATA = REPO / "test" / "data"

# Deadlines are multiplied by this; raise it on a slow machine or under a sanitizer.
TIMEOUT_SCALE = float(os.environ.get("AION2_TIMEOUT_SCALE", "1"))

# Lines that no program of ours may ever log.
FORBIDDEN_IN_LOG = re.compile(
    r"^bug: .*|.*line=\"bug: .*|.*ERROR: (?:Address|Leak)Sanitizer.*|.*runtime error: .*", re.MULTILINE
)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def bin_dir():
    """Folder of the programs under test."""
    return Path(os.environ.get("AION2_BIN") or REPO / "build" / "bin")


def wait_for(cond, timeout=10.0, what="the condition", interval=0.02):
    """Polls cond() until it is true and returns its value; fails the test at the deadline.

    An exception in cond() counts as "not yet" and is shown when the deadline passes; pytest.fail()
    ends the test at once.
    """
    deadline = time.monotonic() + timeout * TIMEOUT_SCALE
    while True:
        last = None
        try:
            value = cond()
            if value:
                return value
        except Exception as e:  # pylint: disable=broad-except
            last = e
        if time.monotonic() >= deadline:
            why = f": {type(last).__name__}: {last}" if last else ""
            raise AssertionError(f"{what} did not happen within {timeout:g} s{why}") from last
        time.sleep(interval)


# ---------------------------------------------------------------------------------------- ports

# Above what ./run demo uses, below what the kernel takes for outgoing connections, so that nobody
# gets one by chance between our look and the server's bind.
_PORTS = range(17000, 32000)
_port_locks = []


def free_port():
    """A TCP port on 127.0.0.1 that nobody listens on and no other test run will be given.

    The claim is a file lock that ends with this process, so parallel runs never collide.
    """
    folder = Path(tempfile.gettempdir()) / f"aion2-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for _ in range(1000):
        port = random.SystemRandom().choice(_PORTS)
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _port_locks.append(lock)
        return port
    raise RuntimeError("no free port found")


def port_open(port, host="127.0.0.1"):
    """True when somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


# --------------------------------------------------------------------------------- temp folders

_TMP_PREFIX = "aion2-it-"


def make_temp_dir(owner_uid=None):
    """A new folder directly in /tmp: short enough for Unix sockets, reachable for other users.

    Its name carries our pid, so that a later run can remove what a killed run left behind.
    """
    path = Path(tempfile.mkdtemp(prefix=f"{_TMP_PREFIX}{os.getpid()}-", dir="/tmp"))
    path.chmod(0o755)
    if owner_uid is not None and owner_uid != os.getuid():
        os.chown(path, owner_uid, -1)
    return path


def remove_stale_temp_dirs():
    """Removes the folders of test runs that no longer exist."""
    for path in Path("/tmp").glob(_TMP_PREFIX + "*"):
        pid = path.name[len(_TMP_PREFIX):].split("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)


# ------------------------------------------------------------------------------------ processes


def die_with_parent(sig):
    """For preexec_fn: the kernel sends sig to the child when this process dies, however it dies."""

    def setup():
        _LIBC.prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)

    return setup


def start_process(argv, log_path, env=None, user=None, death_signal=signal.SIGKILL, cwd=None):
    """Starts argv in a session of its own, output into log_path (appended).

    Start it from the thread that lives longest: the kernel ties the death signal to the thread.
    """
    how = {}
    if user is not None and os.getuid() == 0:
        entry = pwd.getpwnam(user)
        how = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd or "/",
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            **how,
        )


def clean_env(extra=None):
    """An environment without the settings of whoever started the tests."""
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        # The programs handle a refused allocation themselves.
        "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    }
    env.update({k: str(v) for k, v in (extra or {}).items()})
    return env


def run_program(program, *args, env=None, timeout=60, stdin=None, check=False, memory_mb=None):
    """Runs one of our programs to its end: subprocess.CompletedProcess with text in and out."""
    limit = ["prlimit", f"--as={memory_mb << 20}", "--"] if memory_mb else []
    done = subprocess.run(
        [*limit, str(bin_dir() / program), *map(str, args)],
        env=clean_env(env),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout * TIMEOUT_SCALE,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    bad = FORBIDDEN_IN_LOG.search(done.stderr)
    assert not bad, f"{program} wrote: {bad.group(0)}\n{done.stderr[-4000:]}"
    if check:
        assert done.returncode == 0, (
            f"{program} {' '.join(map(str, args))}: exit code {done.returncode}\n"
            f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done


class Program:
    """One of our long-running programs, with its log in a file."""

    def __init__(self, name, args, env, log_path):
        self.name = name
        self.args = [str(a) for a in args]
        self.env = clean_env(env)
        self.log_path = Path(log_path)
        self.proc = None
        self.start()

    @property
    def pid(self):
        return self.proc.pid

    def start(self):
        """Starts it (again) with the same arguments; the log goes on in the same file."""
        assert self.proc is None or self.proc.poll() is not None, f"{self.name} runs already"
        self.proc = start_process([bin_dir() / self.name, *self.args], self.log_path, self.env)

    def log(self):
        """Everything logged so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, text, timeout=15):
        """Waits until text stands in the log."""
        wait_for(
            lambda: text in self.log() or self.must_run(),
            timeout,
            f"{text!r} in the log of {self.name}",
        )

    def must_run(self):
        """False; fails at once when the program has ended (for use in wait_for conditions)."""
        if self.proc.poll() is not None:
            pytest.fail(f"{self.name} has ended with code {self.proc.returncode}")
        return False

    def running(self):
        return self.proc.poll() is None

    def signal(self, sig):
        self.proc.send_signal(sig)

    def wait(self, timeout=30):
        """Waits for its end and returns the exit code (negative: the signal)."""
        return self.proc.wait(timeout * TIMEOUT_SCALE)

    def stop(self, timeout=30):
        """SIGTERM as soon as the program knows what to do with it, then the exit code."""
        wait_for(lambda: not self.running() or listens_for(self.pid, signal.SIGTERM), timeout,
                 f"{self.name} listening for SIGTERM")
        if self.running():
            self.proc.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL to this process alone, as an out-of-memory killer does."""
        if self.proc.poll() is None:
            self.proc.kill()
        return self.wait()

    def destroy(self):
        """SIGKILL to it and every child it has; for the end of a test."""
        try:
            os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.proc.wait()

    def rss_kb(self):
        """Resident memory of the process now."""
        return process_rss_kb(self.proc.pid)


def listens_for(pid, sig):
    """Whether a process catches a signal, or blocks it to ask for it. A thread that is in sigtimedwait()
    is shown without the signals it waits for, so any thread will do."""
    states = [path.read_text(encoding="ascii", errors="replace")
              for path in Path(f"/proc/{pid}/task").glob("*/status")]
    masks = re.findall(r"^Sig(?:Cgt|Blk):\s*([0-9a-f]+)$", "".join(states), re.MULTILINE)
    return any(int(mask, 16) >> (sig - 1) & 1 for mask in masks)


def process_rss_kb(pid):
    """Resident memory of any process in KiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE).group(1))


def children_of(pid):
    """Process ids of the direct children."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(p) for p in task.read_text(encoding="ascii").split()]
    return found
