"""Redis through Sentinels: everybody finds the master, and finds the next one after a failover."""

import json
import re
import socket
import threading
import time
import uuid
from pathlib import Path

import pytest
import redis

import harness
from harness import wait_for
from jobs import Jobs, slots_of, worker_env
from sentinel import SentinelLab

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.fixture
def make_lab(request):
    made = []

    def make(**kwargs):
        made.append(SentinelLab(**kwargs))
        return made[-1]

    yield make
    for lab in made:
        if getattr(request.node, "test_failed", False):
            print(f"\n----- log of the Sentinels -----\n{lab.log()[-6000:]}")
        lab.destroy()


@pytest.fixture
def lab(make_lab):
    return make_lab()


class Producer(threading.Thread):
    """Pushes tasks through failovers; a push counts when every replica that is there has it.

    A master that dies takes with it what it had not passed on: that is no fault of anybody's who
    takes from the queue, so such a push is tried again with another id.
    """

    def __init__(self, lab, task="test.sleep", args=(0.01,), pause=0.005):
        super().__init__(daemon=True)
        self.lab, self.task, self.args_, self.pause = lab, task, args, pause
        self.ids, self.outages = [], 0
        self._stop_it = threading.Event()

    def run(self):
        client = None
        while not self._stop_it.is_set():
            try:
                client = client or self.lab.client()
                if not self._push(client):
                    client = None  # it may be a master that was replaced and lives on
            except (redis.RedisError, StopIteration, ConnectionError):
                client = None
                self.outages += 1
                self._stop_it.wait(0.05)
            self._stop_it.wait(self.pause)

    def _push(self, client):
        task_id = str(uuid.uuid4())
        replicas = sum(s.running() for s in self.lab.servers) - 1
        client.lpush("celery", json.dumps({"task": self.task, "id": task_id, "args": self.args_}))
        safe = client.wait(replicas, 500) >= replicas
        if safe:
            self.ids.append(task_id)
        return safe

    def stop(self):
        self._stop_it.set()
        self.join(30)
        assert not self.is_alive()
        return self.ids


def all_ended(lab, ids, timeout=60):
    """Every one of them has a SUCCESS, and the counters of the master add up."""
    jobs = Jobs(lab)
    jobs.quiet(timeout)
    missing = [i for i in ids if (jobs.document(i) or {}).get("status") != "SUCCESS"]
    assert not missing, f"{len(missing)} of {len(ids)} without an end"
    return jobs


def ctl(lab, *args, **kwargs):
    env = {"REDIS_URL": lab.url, "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}
    return harness.run_program("aion2ctl", *args, env=env, **kwargs)


def test_everybody_finds_the_master(spawn, lab):
    env = worker_env(lab)
    w = spawn("aion2-worker", env=env)
    b = spawn("aion2-beat", env={"REDIS_URL": lab.url, "BATCH_INTERVAL": "1"})
    w.wait_log("worker.registered")
    b.wait_log("beat.sent")
    done = ctl(lab, "call", "test.add", "--args", "[1, 2]", "--wait", "20")
    assert done.returncode == 0 and "3" in done.stdout
    ctl(lab, "status", "--json")
    assert harness.run_program("aion2-worker", "--healthcheck", env=env).returncode == 0
    assert lab.client().hlen("aion2:beats") == 1


@pytest.mark.parametrize("how", ["kill_master", "failover"])
def test_failover_while_tasks_flow(spawn, lab, how):
    """Workers and beat go to the new master; what was replicated is done, nothing hangs."""
    workers = [spawn("aion2-worker", env=worker_env(lab)) for _ in range(2)]
    b = spawn("aion2-beat", env={"REDIS_URL": lab.url, "BATCH_INTERVAL": "1", "TASK_QUEUE": "other"})
    b.wait_log("beat.sent")
    producer = Producer(lab)
    producer.start()
    wait_for(lambda: Jobs(lab).counter("done") > 20, what="tasks flowing")
    _, new = getattr(lab, how)()
    counted = int(new.client().hget("aion2:counters", "done") or 0)
    wait_for(lambda: int(new.client().hget("aion2:counters", "done")) > counted + 20, 30,
             "tasks flowing again")
    slots = slots_of(b)
    wait_for(lambda: slots_of(b) > slots, 15, "the next slot")
    ids = producer.stop()
    jobs = all_ended(lab, ids)
    assert producer.outages > 0 or how == "failover"
    for w in workers:
        # One of them may have done everything while the other one still waited to connect again.
        w.wait_log(f'at="127.0.0.1" port={new.port}')
        # By command the old master lives on, and is left because the Sentinels say so.
        assert how == "kill_master" or "Redis has moved" in w.log()
        assert w.stop() == 0
    assert jobs.redis.keys("aion2:held*") == []


def test_what_redis_forgets_is_counted(spawn, lab):
    """The new master has not seen the last steps of the old one: they are gone, and that is said."""
    w = spawn("aion2-worker", env=worker_env(lab))
    jobs = Jobs(lab)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert jobs.redis.wait(2, 5000) == 2
    jobs.redis.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
    jobs.redis.client_kill_filter(_type="slave")
    for i in range(10):
        assert jobs.ended(jobs.push("test.add", i))["result"] == i
    lab.kill_master()
    w.wait_log("redis.lost_steps", timeout=30)
    jobs = Jobs(lab)
    assert jobs.counter("redis_lost") == 20  # ten takes, ten ends
    assert jobs.ended(jobs.push("test.add", 3))["result"] == 3
    jobs.quiet()
    assert '"redis_lost":20' in ctl(lab, "audit", "--json").stdout.replace(" ", "")
    assert "20 acknowledged step(s)" in ctl(lab, "doctor").stdout


def test_waiting_for_a_result_survives_a_failover(spawn, lab):
    spawn("aion2-worker", env=worker_env(lab)).wait_log("worker.registered")
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            ctl(lab, "call", "test.sleep", "--args", "[6]", "--wait", "60")))
    waiting.start()
    wait_for(lambda: Jobs(lab).running(), 20, "the task running")
    lab.failover()
    waiting.join(60)
    assert answers and answers[0].returncode == 0, answers


def test_master_that_hangs_is_left(spawn, lab):
    w = spawn("aion2-worker", env=worker_env(lab))
    w.wait_log("worker.registered")
    hanging = lab.master
    hanging.pause()
    try:
        lab.wait_other_master(hanging)
        assert Jobs(lab).ended(Jobs(lab).push("test.add", 1), 30)["result"] == 1
    finally:
        hanging.resume()
    wait_for(lambda: hanging.client().execute_command("ROLE")[0] == b"slave", 40, "its new role")
    assert Jobs(lab).ended(Jobs(lab).push("test.add", 2))["result"] == 2


def test_dead_sentinels_are_passed_over(spawn, make_lab):
    lab = make_lab(replicas=0)
    for dead in lab.sentinels[:2]:
        dead.kill()
    w = spawn("aion2-worker", env=worker_env(lab))
    w.wait_log("worker.registered")
    assert ctl(lab, "call", "test.add", "--args", "[1]", "--wait", "20").returncode == 0


class FalseSentinel:
    """Says that the master is at the given port, whatever is asked."""

    def __init__(self, port):
        answer = f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(port))}\r\n{port}\r\n".encode()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            with conn:
                if conn.recv(4096):
                    conn.sendall(answer)
                    conn.recv(4096)


def test_what_is_no_master_is_left(spawn, make_lab):
    """A Sentinel that is behind names a replica: nobody works there, and others are asked."""
    lab = make_lab(replicas=1, sentinels=1)
    replica = lab.servers[1]
    false = FalseSentinel(replica.port)
    url = lab.url.replace("//", f"//127.0.0.1:{false.port},")
    env = worker_env(lab, REDIS_URL=url)
    for _ in range(2):
        done = harness.run_program("aion2ctl", "call", "test.add", "--args", "[1]", env=env)
        assert done.returncode == 0, done.stderr
    w = spawn("aion2-worker", env=env)
    w.wait_log("worker.registered")
    wait_for(lambda: Jobs(lab).counter("done") == 2, what="both tasks")
    false.socket.close()


def test_passwords_and_users_of_both_kinds(spawn, make_lab):
    """A user of the Sentinels with the rights that operations.md lists."""
    rights = re.search(r"user watcher on >password ([^`]+)`", DOCS.read_text(encoding="utf-8")).group(1)
    lab = make_lab(replicas=1, sentinels=1,
                   options={"requirepass": "s3cret", "masterauth": "s3cret"},
                   sentinel_options=("requirepass w4tch", "sentinel auth-pass main s3cret",
                                     f"user watcher on >l00k {rights}"))
    secret = lab.url.replace("//", "//:s3cret@")
    urls = [secret + "?sentinel_password=w4tch",
            secret + "?sentinel_username=watcher&sentinel_password=l00k"]
    for n, url in enumerate(urls):
        w = spawn("aion2-worker", env=worker_env(lab, REDIS_URL=url))
        w.wait_log("worker.registered")
        assert Jobs(lab).ended(Jobs(lab).push("test.add", n))["result"] == n
        assert "role=sentinel" not in w.log(), "a Sentinel refused something"
        assert "s3cret" not in w.log() and w.stop() == 0
        done = harness.run_program("aion2ctl", "doctor", "--json", env={
            "REDIS_URL": url, "DATABASE_URL": "postgresql://127.0.0.1:1/x"})
        assert "1 of 1 answer and see a quorum" in done.stdout
    wrong = spawn("aion2-worker", env=worker_env(lab, REDIS_URL=urls[0].replace("w4tch", "other")))
    wrong.wait_log("WRONGPASS")


def test_nobody_to_ask_is_said(lab_url="redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/0"):
    done = harness.run_program("aion2ctl", "call", "test.add",
                               env={"REDIS_URL": lab_url, "DATABASE_URL": "postgresql:///x"})
    assert done.returncode == 69
    assert "Sentinel" in done.stderr and "127.0.0.1:" in done.stderr


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_failovers_one_after_the_other(spawn, lab):
    """Twelve of them, in turn by death and by command, while three workers work."""
    workers = [spawn("aion2-worker", env=worker_env(lab, LOG_LEVEL="info")) for _ in range(3)]
    producer = Producer(lab, pause=0.002)
    producer.start()
    back = []
    for n in range(12):
        done = Jobs(lab).counter("done")
        wait_for(lambda: Jobs(lab).counter("done") > done + 200, 60, "tasks flowing")
        if n % 2:
            lab.failover()
        else:
            dead, _ = lab.kill_master()
        decided = time.monotonic()
        done = Jobs(lab).counter("done")
        wait_for(lambda: Jobs(lab).counter("done") > done, 30, "tasks flowing again")
        back.append(time.monotonic() - decided)
        if n % 2 == 0:
            lab.revive(dead)
        lab.wait_settled(60)
    jobs = all_ended(lab, producer.stop(), 120)
    print(f"working again after {max(back):.2f} s at most; {len(producer.ids)} tasks; "
          f"lost steps {jobs.counter('redis_lost')}")
    assert max(back) < 10
    for w in workers:
        assert w.stop() == 0
