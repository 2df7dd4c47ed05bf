"""The units, and what the programs tell systemd: a socket of ours stands in its place."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from harness import REPO, bin_dir, free_port, run_program, wait_for

UNITS = REPO / "packaging" / "systemd"
SERVICES = ("aion2-worker", "aion2-beat", "aion2-api")


class Systemd:
    """Receives what a service says."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.messages = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            self.messages.append(self.socket.recv(4096).decode())

    def env(self, watchdog_s=2):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(watchdog_s * 1000000)}

    def received(self, word):
        return sum(m.split("\n").count(word) for m in self.messages)

    def count(self, word):
        """Times that it was sent by now: what was sent before the mark has arrived with it."""
        marks = self.received("MARK")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"MARK", self.path)
        self.wait("MARK", marks + 1)
        return self.received(word)

    def wait(self, word, times=1, timeout=30):
        wait_for(lambda: self.received(word) >= times, timeout, f"{word} for the {times}. time")

    def status(self):
        """The line of systemctl status."""
        said = re.findall(r"^STATUS=(.*)$", "\n".join(self.messages), re.MULTILINE)
        return said[-1] if said else None


@pytest.fixture
def systemd(tmp_path):
    return Systemd(tmp_path)


@pytest.fixture
def settings(pg, redis_server, tmp_path):
    return {"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url, "STATE_DIR": str(tmp_path),
            "API_LISTEN": f"127.0.0.1:{free_port()}", "BATCH_INTERVAL": "86400"}


# ----------------------------------------------------------------------------- what programs say


@pytest.mark.parametrize("program", SERVICES)
def test_a_service_says_what_it_does(spawn, settings, systemd, program):
    it = spawn(program, {**settings, **systemd.env()})
    systemd.wait("READY=1")
    systemd.wait("WATCHDOG=1", 3)
    assert systemd.status()
    assert it.stop() == 0
    assert systemd.count("STOPPING=1") == 1 and systemd.count("READY=1") == 1


@pytest.mark.parametrize("program", SERVICES)
def test_without_systemd_nothing_is_said(spawn, settings, program):
    it = spawn(program, {**settings, "LOG_LEVEL": "debug"})
    wait_for(lambda: re.search("worker.registered|beat.schedules|api.ready", it.log()), 20, "work")
    assert it.stop() == 0
    assert "notify.failed" not in it.log()


@pytest.mark.parametrize("program", SERVICES)
def test_a_service_that_stands_still_is_noticed(spawn, settings, systemd, program):
    it = spawn(program, {**settings, **systemd.env()})
    systemd.wait("WATCHDOG=1")
    it.signal(signal.SIGSTOP)
    wait_for(lambda: "\nState:\tT" in open(f"/proc/{it.pid}/status", encoding="ascii").read(), 10,
             "it standing still")
    said = systemd.count("WATCHDOG=1")
    assert systemd.count("WATCHDOG=1") == said  # nothing feeds the watchdog now
    it.signal(signal.SIGCONT)
    systemd.wait("WATCHDOG=1", said + 2)


@pytest.mark.parametrize("program", ["aion2-worker", "aion2-beat"])
def test_it_is_ready_once_redis_is_there(spawn, settings, systemd, redis_server, program):
    redis_server.kill()
    it = spawn(program, {**settings, **systemd.env()})
    wait_for(lambda: "down" in it.log() or "away" in it.log() or "waiting" in it.log(), 20,
             "it missing Redis")
    assert systemd.count("READY=1") == 0
    redis_server.start()
    systemd.wait("READY=1")


@pytest.mark.parametrize("program", ["aion2-worker", "aion2-beat"])
def test_a_restart_does_not_help_against_redis_being_away(spawn, settings, systemd, redis_server,
                                                          program):
    spawn(program, {**settings, **systemd.env()})
    systemd.wait("READY=1")
    redis_server.kill()
    wait_for(lambda: "Redis is away" in systemd.status(), 30, "it saying so")
    systemd.wait("WATCHDOG=1", systemd.count("WATCHDOG=1") + 3)
    redis_server.start()
    wait_for(lambda: "Redis is away" not in systemd.status(), 30, "it being back")


def test_a_worker_that_reloads_says_so(spawn, settings, systemd):
    it = spawn("aion2-worker", {**settings, **systemd.env()})
    systemd.wait("READY=1")
    it.signal(signal.SIGHUP)
    systemd.wait("RELOADING=1")
    systemd.wait("READY=1", 2)
    systemd.wait("WATCHDOG=1", systemd.count("WATCHDOG=1") + 1)
    assert systemd.count("STOPPING=1") == 0
    assert it.stop() == 0


def test_a_worker_that_waits_for_the_schema_is_not_ready(spawn, settings, systemd, pg_empty):
    env = {**settings, **systemd.env(), "DATABASE_URL": pg_empty.url}
    spawn("aion2-worker", env)
    wait_for(lambda: systemd.status() == "waiting for aion2ctl migrate", 20, "it waiting")
    assert systemd.count("READY=1") == 0
    run_program("aion2ctl", "migrate", env=env, check=True)
    systemd.wait("READY=1")


# ----------------------------------------------------------------------------------- the units


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where make install has put everything."""
    prefix = tmp_path_factory.mktemp("inst") / "usr"
    build = bin_dir().resolve().parent.name
    done = subprocess.run(["make", "-s", "install", f"BUILD={build}", f"PREFIX={prefix}"], cwd=REPO,
                          env={**os.environ, "MAKEFLAGS": ""}, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return prefix


def test_install_brings_what_an_operator_needs(installed):
    for path in ("bin/aion2-worker", "lib/systemd/system/aion2rank.target",
                 "lib/sysusers.d/aion2rank.conf", "share/aion2rank/prometheus/alerts.yml",
                 "share/aion2rank/grafana/aion2rank.json", "share/aion2rank/aion2rank.env",
                 "share/doc/aion2rank/operations.md"):
        assert (installed / path).exists(), path


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_finds_nothing_wrong(installed, service):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd here")
    unit = installed / "lib" / "systemd" / "system" / f"{service}.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True,
                          timeout=60, check=False)
    # Units of the machine that ours refers to may have faults of their own.
    assert [line for line in done.stderr.splitlines() if "aion2" in line] == []
    text = unit.read_text(encoding="utf-8")
    assert f"ExecStart={installed}/bin/{service}" in text
    score = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20",
                            "--no-pager", unit], capture_output=True, text=True, timeout=60,
                           check=False)
    assert score.returncode == 0, score.stdout[-300:]


def directives(name):
    text = (UNITS / name).read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.splitlines()
                if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize("service", SERVICES)
def test_units_fit_the_programs(service):
    unit = directives(f"{service}.service")
    assert unit["Type"] == "notify" and int(unit["WatchdogSec"]) >= 20
    assert unit["NoNewPrivileges"] == "yes" and unit["ProtectSystem"] == "strict"
    assert unit["EnvironmentFile"] == "/etc/aion2rank/aion2rank.env"
    assert run_program(service, "--check-config",
                       env=dict([unit["Environment"].split("=", 1)])).returncode == 0
    # What it must not be started again for.
    assert unit["RestartPreventExitStatus"].split() == ["64", "78"]


def test_a_worker_has_time_to_end(installed):
    grace = run_program("aion2-worker", "--check-config", check=True).stdout
    grace = int(re.search(r"^SHUTDOWN_GRACE=(\d+)", grace, re.MULTILINE)[1])
    assert int(directives("aion2-worker.service")["TimeoutStopSec"]) > grace
    assert directives("aion2-worker.service")["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_example_of_settings_can_be_used():
    done = run_program("aion2-worker", "--env-file", UNITS / "aion2rank.env", "--check-config")
    assert done.returncode == 0, done.stderr
    ports = {directives(f"{s}.service")["Environment"] for s in SERVICES}
    assert len(ports) == len(SERVICES)
    scraped = (REPO / "packaging" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    for port in ports:
        assert f'"{port.removeprefix("METRICS_LISTEN=")}"' in scraped
