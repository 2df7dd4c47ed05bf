"""What the measurements run on: private servers and our release binaries, gone at the end."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
BIN = REPO / "build" / "release" / "bin"

# The integration tests start the same servers; their parts are used here with other settings.
sys.path.append(str(REPO / "test" / "integration"))
os.environ["AION2_BIN"] = str(BIN)

# pylint: disable=wrong-import-position
from harness import (Program, clean_env, free_port, make_temp_dir, port_open, start_process,
                     wait_for)
from servers import Postgres, Redis
import machine

# Durable as in production, and the same for every competitor (wal_level, synchronous_commit,
# autovacuum and full_page_writes keep their defaults).
POSTGRES_OPTIONS = {
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
}

# sendfile and tcp_nopush as Debian ships it; besides no log line and no open() per request, and
# connections stay: that suits small files.
NGINX_CONF = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log error;
worker_processes 2;
worker_rlimit_nofile 16384;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    open_file_cache max=10000 inactive=600s;
    open_file_cache_valid 600s;
    types {{ application/json json; }}
    client_body_temp_path {folder}/nginx-tmp;
    proxy_temp_path {folder}/nginx-tmp;
    fastcgi_temp_path {folder}/nginx-tmp;
    uwsgi_temp_path {folder}/nginx-tmp;
    scgi_temp_path {folder}/nginx-tmp;
    server {{
        listen 127.0.0.1:{port} reuseport;
        root {root};
    }}
}}
"""


class BenchError(Exception):
    """Something that stops the benchmark; the text says what to look at."""


def build_release():
    """Builds what is measured; the link build/bin stays where it points."""
    programs = [str((BIN / name).relative_to(REPO)) for name in
                ("aion2-worker", "aion2-api", "aion2ctl")]
    done = subprocess.run(["make", "-s", "-j2", "BUILD=release", *programs], cwd=REPO, check=False)
    if done.returncode:
        sys.exit("bench: the release build failed")


def _shared_buffers():
    """A quarter of the memory, what PostgreSQL's manual advises for a server of its own."""
    ram_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{ram_bytes // 4 >> 20}MB"


class Rig:
    """A PostgreSQL (unless nobody needs it), a Redis and a folder; closing it removes all."""

    def __init__(self, with_postgres=True):
        self.folder = make_temp_dir()
        self.postgres = with_postgres and Postgres(fsync=True, options={
            **POSTGRES_OPTIONS, "shared_buffers": _shared_buffers()})
        self.redis = Redis()

    def close(self):
        if self.postgres:
            self.postgres.destroy()
        self.redis.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tails(self):
        """The last lines of every log, for an error message."""
        tails = []
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            tails += [f"{log.name}: {line}" for line in lines]
        return "\n".join(tails)

    def env(self, database):
        """Settings of our programs; what is not here has its default."""
        return {"DATABASE_URL": database.url, "REDIS_URL": self.redis.url, "LOG_LEVEL": "warn"}

    @contextlib.contextmanager
    def program(self, name, env, ready):
        """One of our programs, from the moment that ready() is true to its stop."""
        process = Program(name, [], env, self.folder / f"{name}.log")
        try:
            wait_for(lambda: ready() or process.must_run(), 60, f"{name} being ready")
            yield process
        finally:
            ended = not process.running()
            code = process.stop()
            if ended:
                raise BenchError(f"{name} ended by itself with code {code}")

    def worker(self, database):
        """A running aion2-worker with its default settings."""
        client = self.redis.client()
        client.flushall()
        return self.program("aion2-worker", self.env(database),
                            lambda: client.scard("aion2:workers"))

    @contextlib.contextmanager
    def nginx(self, root):
        """nginx serving the files below root; gives its base URL."""
        port = free_port()
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX_CONF.format(
            folder=self.folder, port=port, root=root,
            user="user root;" if os.geteuid() == 0 else ""), encoding="utf-8")
        log = self.folder / "nginx.log"
        process = start_process(
            [machine.find_program("nginx"), "-p", self.folder, "-c", conf,
             "-e", self.folder / "nginx-error.log"], log, clean_env(),
            death_signal=signal.SIGTERM)
        try:
            wait_for(lambda: port_open(port), 30, "nginx listening")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()
