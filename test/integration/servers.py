"""Real PostgreSQL and Redis servers for the tests, each in a folder of its own."""

import glob
import os
import pwd
import shutil
import signal

import psycopg2
import redis

from harness import free_port, make_temp_dir, start_process, wait_for

START_ATTEMPTS = 5


def _postgres_bin():
    if os.environ.get("PG_BIN"):
        return os.environ["PG_BIN"]
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    assert found, "PostgreSQL is not installed (package postgresql-15)"
    return found[-1]


class Postgres:
    """A cluster with one superuser `postgres`, no password, on a Unix socket and a TCP port.

    root cannot run PostgreSQL: then it runs as the system's user postgres.
    """

    def __init__(self, fsync=False, checksums=False, options=()):
        self.bin = _postgres_bin()
        self.user = "postgres" if os.getuid() == 0 else None
        uid = pwd.getpwnam(self.user).pw_uid if self.user else os.getuid()
        self.dir = make_temp_dir(uid)
        self.data = self.dir / "data"
        self.log_path = self.dir / "postgres.log"
        self.options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.dir),
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "shared_buffers": "64MB",
            "max_connections": "100",
            "max_wal_size": "1GB",
            "log_line_prefix": "%m [%p] %a ",
            **dict(options),
        }
        self.proc = None
        self.port = None
        self._databases = 0
        self._initdb(checksums)
        self.start()

    def _initdb(self, checksums):
        argv = [f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        if checksums:
            argv.append("--data-checksums")
        log = self.dir / "initdb.log"
        init = start_process(argv, log, user=self.user, cwd=self.dir,
                             env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        code, text = init.wait(), log.read_text(errors="replace")
        assert code == 0, f"initdb failed:\n{text}"

    def start(self):
        """Starts it and waits until it answers; keeps the port of the first start."""
        assert not self.running()
        for _ in range(START_ATTEMPTS):
            port = self.port or free_port()
            if self._try_start(port):
                self.port = port
                return
        raise AssertionError(f"PostgreSQL does not start:\n{self.log()[-3000:]}")

    def _try_start(self, port):
        argv = [f"{self.bin}/postgres", "-D", self.data, "-p", port]
        for name, value in self.options.items():
            argv += ["-c", f"{name}={value}"]
        # SIGQUIT is PostgreSQL's immediate shutdown: its children go with it.
        self.proc = start_process(argv, self.log_path, user=self.user, cwd=self.dir,
                                  env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"},
                                  death_signal=signal.SIGQUIT)

        def ready():
            return self.proc.poll() is not None or self._answers(port)

        wait_for(ready, 60, "PostgreSQL answering", interval=0.05)
        return self.proc.poll() is None

    def _answers(self, port):
        psycopg2.connect(host=str(self.dir), port=port, user="postgres", dbname="postgres",
                         connect_timeout=5).close()
        return True

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def stop(self, mode="fast"):
        """mode: smart, fast, immediate (like a crash: recovery follows) or kill (SIGKILL)."""
        if not self.running():
            return
        self.proc.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT,
                               "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}[mode])
        self.proc.wait(60)
        if mode == "kill":
            # Its children notice by themselves; the next start refuses while one is left.
            wait_for(lambda: not self._stragglers(), 30, "the backends ending")
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _stragglers(self):
        """True while a backend is left; all of them work in the data folder."""
        for cwd in glob.glob("/proc/[0-9]*/cwd"):
            try:
                if os.readlink(cwd) == str(self.data):
                    return True
            except OSError:
                pass  # ended, or not ours
        return False

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def destroy(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def url(self, dbname, tcp=False):
        """A DATABASE_URL; over the Unix socket unless tcp."""
        if tcp:
            return f"postgresql://postgres@127.0.0.1:{self.port}/{dbname}"
        return f"postgresql:///{dbname}?host={self.dir}&port={self.port}&user=postgres"

    def create_database(self, template=None):
        """A new database, empty or a copy of template (which nobody may be connected to)."""
        self._databases += 1
        name = f"t{self._databases}"
        self.admin(f'CREATE DATABASE {name} TEMPLATE {template or "template0"}')
        return Database(self, name)

    def admin(self, sql):
        """Runs a statement that cannot be in a transaction, in the database postgres."""
        conn = psycopg2.connect(self.url("postgres"))
        try:
            conn.autocommit = True
            with conn.cursor() as cur:
                cur.execute(sql)
        finally:
            conn.close()


class Database:
    """A database of a cluster, with short ways to ask it something."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    @property
    def url(self):
        return self.cluster.url(self.name)

    @property
    def tcp_url(self):
        return self.cluster.url(self.name, tcp=True)

    def connect(self, autocommit=True, **kwargs):
        """A psycopg2 connection; the caller closes it."""
        conn = psycopg2.connect(self.url, **kwargs)
        conn.autocommit = autocommit
        return conn

    def query(self, sql, params=None):
        """All rows as tuples (an empty list for statements without rows)."""
        conn = self.connect()
        try:
            with conn.cursor() as cur:
                cur.execute(sql, params)
                return cur.fetchall() if cur.description else []
        finally:
            conn.close()

    def value(self, sql, params=None):
        """First column of the first row, None without a row."""
        rows = self.query(sql, params)
        return rows[0][0] if rows else None

    def script(self, sql):
        """Several statements in one string, without parameters."""
        self.query(sql)

    # The server under it, for tests that disturb it.
    def stop(self, mode="fast"):
        self.cluster.stop(mode)

    def start(self):
        self.cluster.start()

    def restart(self, mode="fast"):
        self.cluster.restart(mode)

    def drop(self):
        self.cluster.admin(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


class Redis:
    """A Redis server on a free port; data survives restart() and kill() only with appendonly."""

    def __init__(self, appendonly=False, options=(), env=()):
        """env: more environment variables, as for a library that is loaded before others."""
        self.dir = make_temp_dir()
        self.log_path = self.dir / "redis.log"
        self.env = dict(env)
        self.options = {
            "bind": "127.0.0.1",
            "dir": str(self.dir),
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": "always",  # with less, what a slow disk holds up is lost by kill()
            "maxmemory-policy": "noeviction",
            "unixsocket": str(self.dir / "redis.sock"),
            "daemonize": "no",
            **dict(options),
        }
        self.proc = None
        self.port = None
        self.start()

    def start(self):
        """Starts it and waits for PONG; keeps the port of the first start."""
        assert not self.running()
        for _ in range(START_ATTEMPTS):
            port = self.port or free_port()
            if self._try_start(port):
                self.port = port
                return
        raise AssertionError(f"Redis does not start:\n{self.log()[-3000:]}")

    def _try_start(self, port):
        argv = ["redis-server", "--port", port]
        for name, value in self.options.items():
            argv += [f"--{name}", value]
        self.proc = start_process(argv, self.log_path, cwd=self.dir,
                                  env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self.env})

        def ready():
            return self.proc.poll() is not None or self._answers(port)

        wait_for(ready, 30, "Redis answering")
        return self.proc.poll() is None

    def _answers(self, port):
        with redis.Redis(port=port, password=self.options.get("requirepass"),
                         socket_timeout=5) as client:
            return client.ping() and client.info("server")["process_id"] == self.proc.pid

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def stop(self):
        """A clean shutdown."""
        if self.running():
            self.proc.send_signal(signal.SIGTERM)
            self.proc.wait(30)

    def kill(self):
        """SIGKILL: what it had not written is gone."""
        if self.running():
            self.proc.kill()
            self.proc.wait()

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self.proc.send_signal(signal.SIGSTOP)

    def resume(self):
        self.proc.send_signal(signal.SIGCONT)

    def restart(self):
        self.stop()
        self.start()

    def destroy(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **kwargs):
        """A redis.Redis that returns bytes (decode_responses=True for text)."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=30, **kwargs)
