"""What tests of metrics and probes share: programs with METRICS_LISTEN, and reading what they show."""

import http.client
import json
import re
import socket
import urllib.error
import urllib.request

from harness import free_port, run_program, wait_for

TASK = "app.worker.calculate_power_and_rank_batch"
PROGRAMS = ("worker", "beat", "api")
SAMPLE = re.compile(r'^([a-z_:][a-z0-9_:]*)(\{[^}]*\})? (\S+)$')


def fetch(address, path, accept=None):
    """Status and text of a page of METRICS_LISTEN: host:port, or the path of a socket."""
    if address.startswith("/"):
        return fetch_unix(address, path)
    headers = {"Accept": accept} if accept else {}
    ask = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(ask, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def fetch_unix(path, target):
    conn = http.client.HTTPConnection("localhost")
    conn.sock = socket.socket(socket.AF_UNIX)
    conn.sock.settimeout(10)
    conn.sock.connect(path)
    try:
        conn.request("GET", target)
        reply = conn.getresponse()
        return reply.status, reply.read().decode()
    finally:
        conn.close()


def samples(text):
    """name{labels} -> value of a text in Prometheus' format."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            m = SAMPLE.match(line)
            assert m, line
            key = m[1] + (m[2] or "")
            assert key not in found, f"twice: {key}"
            found[key] = float(m[3])
    return found


def families(text):
    """name -> type."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


class Observed:
    """Worker, beat and api, each with its page of figures."""

    def __init__(self, spawn, pg, redis, tmp_path, **settings):
        self.redis = redis.client(decode_responses=True)
        self.redis_server = redis
        self.pg = pg
        self.address = {p: f"127.0.0.1:{free_port()}" for p in PROGRAMS}
        self.env = {
            "DATABASE_URL": pg.url,
            "REDIS_URL": redis.url,
            "API_LISTEN": f"127.0.0.1:{free_port()}",
            "STATE_DIR": str(tmp_path),
            "BATCH_INTERVAL": "86400",
            "RETRY_BASE_SECONDS": "1",
            "TEST_TASKS": "1",
            **settings,
        }
        self.base = f"http://{self.env['API_LISTEN']}"
        for name in PROGRAMS:
            setattr(self, name, self.start(spawn, name))
        wait_for(lambda: self.redis.scard("aion2:workers") == 1, 20, "the worker registering")
        wait_for(lambda: self.status("api", "/live") == 200, 20, "the api answering")

    def start(self, spawn, name):
        return spawn(f"aion2-{name}", {**self.env, "METRICS_LISTEN": self.address[name]})

    def get(self, name, path):
        return fetch(self.address[name], path)

    def status(self, name, path):
        return self.get(name, path)[0]

    def figures(self, name):
        status, text = self.get(name, "/metrics")
        assert status == 200
        return samples(text)

    def figure(self, name, series):
        return self.figures(name).get(series)

    def push(self, task_id, task=TASK, **more):
        self.redis.lpush("celery", json.dumps({"task": task, "id": task_id, **more}))

    def result(self, task_id):
        raw = self.redis.get(f"celery-task-meta-{task_id}")
        return json.loads(raw) if raw else None

    def run(self, task_id, task=TASK, status="SUCCESS", **more):
        self.push(task_id, task, **more)
        return wait_for(lambda: (self.result(task_id) or {}).get("status") == status and
                        self.result(task_id), 60, f"{status} of {task_id}")

    def populate(self, count=300):
        made = run_program("aion2ctl", "generate", "--count", count, "--servers", 2, "--seed", 5,
                           check=True).stdout
        run_program("aion2ctl", "import", "-", "--quiet", env=self.env, stdin=made, check=True)
