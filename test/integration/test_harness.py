"""The harness itself: servers start, die and come back; nothing outlives the test run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from harness import (
    FORBIDDEN_IN_LOG,
    children_of,
    free_port,
    port_open,
    process_rss_kb,
    remove_stale_temp_dirs,
    wait_for,
)

HERE = Path(__file__).resolve().parent


def test_postgres_survives_an_immediate_restart(pg_empty):
    pg_empty.query("CREATE TABLE kept (n int)")
    pg_empty.query("INSERT INTO kept VALUES (%s)", (7,))
    held = pg_empty.connect()
    pg_empty.query("CHECKPOINT")
    pg_empty.restart("immediate")
    with pytest.raises(psycopg2.Error):
        held.cursor().execute("SELECT 1")
    assert pg_empty.value("SELECT n FROM kept") == 7


def test_postgres_comes_back_after_a_kill(pg_empty):
    held = pg_empty.connect()
    pg_empty.stop("kill")
    pg_empty.start()
    assert pg_empty.value("SELECT 1") == 1
    held.close()


def test_databases_are_fresh_and_reachable_by_tcp(pg_empty):
    assert pg_empty.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    conn = psycopg2.connect(pg_empty.tcp_url)
    conn.close()


def test_redis_with_appendonly_keeps_data_over_a_kill(make_redis):
    server = make_redis(appendonly=True)
    server.client().set("k", "v")
    server.kill()
    assert not port_open(server.port)
    server.start()
    assert server.client().get("k") == b"v"


def test_redis_without_appendonly_starts_empty(redis_server):
    redis_server.client().set("k", "v")
    redis_server.restart()
    assert redis_server.client().get("k") is None


def test_ports_differ():
    ports = {free_port() for _ in range(50)}
    assert len(ports) == 50


def test_wait_for_tells_what_was_awaited():
    with pytest.raises(AssertionError, match="the moon .* ZeroDivisionError"):
        wait_for(lambda: 1 / 0, 0.05, "the moon")
    assert wait_for(lambda: 5, 1) == 5


def test_servers_die_with_a_killed_test_run(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from servers import Postgres, Redis\n"
        "p, r = Postgres(), Redis()\n"
        "print(p.port, r.port, flush=True)\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    run = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        ports = [int(p) for p in run.stdout.readline().split()]
        assert len(ports) == 2 and all(port_open(p) for p in ports)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    wait_for(lambda: not any(port_open(p) for p in ports), 20, "the servers dying")
    remove_stale_temp_dirs()
    assert not list(Path("/tmp").glob(f"aion2-it-{run.pid}-*"))


def test_spawn_runs_kills_and_restarts(spawn, monkeypatch, tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "fake").write_text("#!/bin/sh\necho up $GREETING\nexec sleep 600\n", encoding="ascii")
    (fake / "fake").chmod(0o755)
    monkeypatch.setenv("AION2_BIN", str(fake))
    monkeypatch.setenv("DATABASE_URL", "must not leak")
    p = spawn("fake", env={"GREETING": "hello"})
    p.wait_log("up hello")
    assert b"DATABASE_URL" not in Path(f"/proc/{p.pid}/environ").read_bytes()
    assert p.kill() == -signal.SIGKILL
    p.start()
    wait_for(lambda: p.log().count("up hello") == 2, 10, "the second start")
    p.signal(signal.SIGTERM)
    assert p.wait() == -signal.SIGTERM


def test_stop_waits_until_the_program_listens(spawn, monkeypatch, tmp_path):
    """A SIGTERM that comes before would be the end of a program that has just begun."""
    script = tmp_path / "late"
    script.write_text(f"#!{sys.executable}\nimport signal, sys, time\ntime.sleep(0.5)\n"
                      "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\ntime.sleep(600)\n",
                      encoding="ascii")
    script.chmod(0o755)
    monkeypatch.setenv("AION2_BIN", str(tmp_path))
    assert spawn("late").stop() == 7


def test_forbidden_lines_are_found():
    assert FORBIDDEN_IN_LOG.search("x\nbug: a.c:3: must hold: y\n")
    assert FORBIDDEN_IN_LOG.search("==3==ERROR: AddressSanitizer: heap-use-after-free")
    assert FORBIDDEN_IN_LOG.search("a.c:3:2: runtime error: signed integer overflow")
    assert not FORBIDDEN_IN_LOG.search("ts=1 level=error event=x text=\"runtime is long\"")


def test_children_and_memory_are_seen():
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert child.pid in children_of(os.getpid())
        wait_for(lambda: process_rss_kb(child.pid) > 0, 5, "memory of the child")
    finally:
        child.kill()
        child.wait()
