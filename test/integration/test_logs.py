"""What the programs log: no secret, whatever happens; lines that can be read by machines."""

import json
import re
import signal
import urllib.error
import urllib.request

import pytest

from harness import children_of, free_port, run_program, wait_for
from observe import TASK

LOGFMT = re.compile(r'^ts=\S+ level=(debug|info|warn|error) program=\w+ pid=\d+ event=[a-z_.]+'
                    r'( [a-z0-9_]+=("([^"\\]|\\.)*"|[^ "]*))*$')
HOSTILE = ['"}\n{"event":"forged"', "a=b level=error", "\\", "\\\"", "한글", "\x7f\x01", "\u202e",
           "'; DROP TABLE x; --", "<script>", "x" * 900]

# Every one of them is looked for in all that is written.
SECRETS = {
    "DATABASE_URL": "pgSecret7391",
    "REDIS_URL": "redisSecret5528",
    "ADMIN_TOKEN": "adminSecret-8844-8844-8844-8844-8844",
    "ALERT_WEBHOOK_URL": "hookSecret1207",
    "ALERT_WEBHOOK_SECRET": "signSecret6613",
    "ALERT_SMTP_URL": "smtpSecret9902",
    "ALERT_PING_URL": "pingSecret4471",
}


class Noisy:
    """The whole stack at its most talkative, with a secret in every setting that may hold one."""

    def __init__(self, spawn, pg, make_redis, tmp_path, log_format):
        self.pg = pg
        self.server = make_redis(options=[("requirepass", SECRETS["REDIS_URL"])])
        self.redis = self.server.client(password=SECRETS["REDIS_URL"], decode_responses=True)
        self.env = {
            "DATABASE_URL": f"{pg.url}&password={SECRETS['DATABASE_URL']}",
            "REDIS_URL": self.server.url.replace("://", f"://:{SECRETS['REDIS_URL']}@"),
            "API_LISTEN": f"127.0.0.1:{free_port()}",
            "ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
            "ADMIN_TOKEN": SECRETS["ADMIN_TOKEN"],
            "ALERT_WEBHOOK_URL": f"http://127.0.0.1:1/{SECRETS['ALERT_WEBHOOK_URL']}",
            "ALERT_WEBHOOK_SECRET": SECRETS["ALERT_WEBHOOK_SECRET"],
            "ALERT_SMTP_URL": f"smtp://me:{SECRETS['ALERT_SMTP_URL']}@127.0.0.1:1",
            "ALERT_MAIL_FROM": "a@example.com",
            "ALERT_MAIL_TO": "b@example.com",
            "ALERT_PING_URL": f"http://127.0.0.1:1/{SECRETS['ALERT_PING_URL']}",
            "ALERT_INTERVAL": "1",
            "ACCESS_LOG": "all",
            "STATE_DIR": str(tmp_path),
            "BATCH_INTERVAL": "86400",
            "TEST_TASKS": "1",
            "RETRY_BASE_SECONDS": "1",
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": log_format,
        }
        self.spawn = spawn
        self.programs = [spawn(f"aion2-{p}", {**self.env, "METRICS_LISTEN":
                                              f"127.0.0.1:{free_port()}"})
                         for p in ("worker", "beat", "api")]
        self.worker, self.beat, self.api = self.programs
        self.said = []
        wait_for(lambda: self.redis.scard("aion2:workers") == 1, 30, "the worker")
        wait_for(lambda: self.ask("/health") == 200, 30, "the api")

    def ask(self, path, port="API_LISTEN", **headers):
        ask = urllib.request.Request(f"http://{self.env[port]}{path}", headers=headers)
        try:
            with urllib.request.urlopen(ask, timeout=10) as reply:
                return reply.status
        except urllib.error.HTTPError as e:
            return e.code
        except OSError:
            return None

    def run(self, task_id, task, status="SUCCESS", **more):
        self.redis.lpush("celery", json.dumps({"task": task, "id": task_id, **more}))

        def ended():
            raw = self.redis.get(f"celery-task-meta-{task_id}")
            return raw and json.loads(raw)["status"] == status

        wait_for(ended, 60, f"{status} of {task_id}")

    def ctl(self, *args):
        done = run_program("aion2ctl", *args, env=self.env)
        self.said.append(done.stdout + done.stderr)
        return done

    def populate_with_hostile_names(self):
        rows = []
        for i, name in enumerate(HOSTILE):
            name = re.sub(r"[\x00-\x1f\x7f]", "?", name)[:60]
            rows.append((name, json.dumps({"attack": -1 if i % 2 else 5})))
        with self.pg.connect() as conn, conn.cursor() as c:
            for name, stats in rows:
                c.execute("INSERT INTO characters (server, name, class, level, stats_payload)"
                          " VALUES (%s, %s, %s, 1, %s)", (name + "!", name, name, stats))

    def live(self):
        """Everything that makes them talk."""
        self.populate_with_hostile_names()
        self.run("batch-1", TASK)
        for i, text in enumerate(HOSTILE):
            name = re.sub(r"[\x00-\x1f\x7f]", "?", text)[:100]  # others are refused as such
            self.run(f"{i}-{name}", "test.fail", "FAILURE",
                     args=["ValueError", text], kwargs={"class": "permanent"})
            self.run(f"unknown-{i}", name, "FAILURE")
            self.redis.lpush("celery", text)
        self.run("again", "test.fail", "RETRY", kwargs={"class": "retryable"})
        self.run("crash", "test.crash", "FAILURE")
        for token in ("wrong", SECRETS["ADMIN_TOKEN"]):
            self.ask("/admin/batches", "ADMIN_LISTEN", Authorization=f"Bearer {token}")
        self.ask("/api/ranking/top?server=%22%0A%7B&limit=1")
        self.ctl("status")
        self.ctl("doctor")
        for program in ("worker", "beat", "api"):
            for option in ("--check-config", "--healthcheck"):
                done = run_program(f"aion2-{program}", option, env=self.env)
                self.said.append(done.stdout + done.stderr)

    def suffer(self):
        """Both servers go, and come back; the worker reads its settings again."""
        self.server.kill()
        wait_for(lambda: "redis.down" in self.worker.log() and "redis.down" in self.beat.log(), 30,
                 "Redis being missed")
        self.ctl("status")
        self.server.start()
        self.pg.restart("immediate")
        wait_for(lambda: self.ask("/health") == 200, 30, "the api")
        wait_for(lambda: self.redis.ping(), 30, "Redis")
        self.worker.signal(signal.SIGHUP)
        self.worker.wait_log("worker.reloading", 60)
        wait_for(lambda: self.redis.scard("aion2:workers") == 1, 60, "the worker")
        self.run("after", "test.add", args=[1, 2])

    def written(self):
        return "".join(p.log() for p in self.programs) + "".join(self.said)


@pytest.fixture(params=["logfmt", "json"])
def noisy(request, spawn, pg, make_redis, tmp_path):
    return Noisy(spawn, pg, make_redis, tmp_path, request.param)


@pytest.mark.timeout(300)
def test_no_secret_is_ever_written_and_every_line_can_be_read(noisy):
    noisy.live()
    noisy.suffer()
    for program in noisy.programs:
        assert program.stop(60) == 0
    text = noisy.written()
    assert "debug" in text
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, [line for line in text.splitlines()
                       if any(SECRETS[n] in line for n in found)][:5]
    for program in noisy.programs:
        for line in program.log().split("\n")[:-1]:
            check_line(line, noisy.env["LOG_FORMAT"])


def check_line(line, log_format):
    if log_format == "json":
        entry = json.loads(line)
        assert entry["event"] != "forged" and entry["level"] in ("debug", "info", "warn", "error")
        assert all(isinstance(v, (str, int, float, bool)) for v in entry.values())
    else:
        assert LOGFMT.match(line), line


def entries(program):
    return [json.loads(line) for line in program.log().split("\n")[:-1]]


def test_every_line_of_a_job_says_which(spawn, pg, redis_server):
    env = {"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url, "TEST_TASKS": "1",
           "LOG_FORMAT": "json", "LOG_LEVEL": "debug", "WORKER_NAME": "w1@here",
           "RETRY_BASE_SECONDS": "0"}
    run_program("aion2ctl", "import", "-", "--quiet", env=env, check=True,
                stdin=run_program("aion2ctl", "generate", "--count", 50, check=True).stdout)
    redis = redis_server.client(decode_responses=True)
    worker = spawn("aion2-worker", env)

    def send(task_id, task, **more):
        redis.lpush("celery", json.dumps({"task": task, "id": task_id, **more}))
        wait_for(lambda: "FAILURE" in (redis.get(f"celery-task-meta-{task_id}") or "") or
                 "SUCCESS" in (redis.get(f"celery-task-meta-{task_id}") or ""), 60, task_id)

    send("the-batch", TASK)
    send("the-failure", "test.fail", kwargs={"class": "retryable"})
    wait_for(lambda: [e for e in entries(worker) if e["event"] == "batch.history"], 30,
             "the work after the batch")
    assert worker.stop() == 0
    lines = entries(worker)
    assert {e["worker"] for e in lines} == {"w1@here"}
    batch = [e for e in lines if e["event"].startswith("batch.")]
    assert {e["event"] for e in batch} >= {"batch.start", "batch.read", "batch.done"}
    assert {(e["id"], e["run"], e["attempt"]) for e in batch} == {("the-batch", 1, 1)}
    attempts = [(e["event"], e["attempt"]) for e in lines if e.get("id") == "the-failure" and
                e["event"] in ("task.started", "task.retry", "task.failed")]
    assert attempts == [("task.started", 1), ("task.retry", 1), ("task.started", 2),
                        ("task.retry", 2), ("task.started", 3), ("task.retry", 3),
                        ("task.started", 4), ("task.failed", 4)]
    for e in lines:
        if e["event"].startswith("task."):
            assert e["id"] and e["task"] and e["attempt"] >= 1, e


def test_a_child_of_a_worker_writes_json_too(spawn, redis_server):
    env = {"REDIS_URL": redis_server.url, "DATABASE_URL": "postgresql://127.0.0.1:1/x",
           "LOG_FORMAT": "json", "LOG_LEVEL": "debug"}
    worker = spawn("aion2-worker", env)
    wait_for(lambda: len(children_of(worker.pid)) == 2, 20, "its children")
    worker.wait_log("worker.registered")
    redis_server.client().lpush("celery", json.dumps({"task": TASK, "id": "b"}))
    worker.wait_log("batch.failed")
    assert worker.stop() == 0
    failed = [e for e in entries(worker) if e["event"] == "batch.failed"]
    assert failed and failed[0]["id"] == "b" and failed[0]["pid"] != worker.pid
    assert not [e for e in entries(worker) if e["event"] == "child.said"]
