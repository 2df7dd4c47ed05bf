"""The whole system: beat, worker, api, PostgreSQL and Redis, also while parts of it die."""

import json
import os
import random
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
from celery import Celery

from harness import REPO, TEST_DATA, children_of, free_port, process_rss_kb, run_program, wait_for

TASK = "app.worker.calculate_power_and_rank_batch"

POPULATE = """
INSERT INTO characters (server, name, class, level, power, stats_payload)
SELECT (ARRAY['Siel', 'Israphel', 'Zikel'])[1 + i %% 3], 'Player' || i,
       (ARRAY['Warrior', 'Ranger', 'Cleric'])[1 + i %% 3], 1 + i %% 45, i * 7919 %% 500009,
       jsonb_build_object(
           'attack', 100 + i * 31 %% 977, 'damage_amp', 50 + i * 17 %% 211,
           'crit_rate', 10 + i * 13 %% 89, 'crit_damage', 100 + i * 11 %% 157,
           'attack_speed', 100 + i * 7 %% 23, 'defense', 300 + i * 5 %% 701,
           'damage_reduction', 20 + i * 3 %% 71, 'hp', 5000 + i * 29 %% 9973)
FROM generate_series(1, %s) AS i
"""


def raw_message(task_id):
    return json.dumps({"task": TASK, "id": task_id})


class Stack:
    """The programs on one pair of servers, and the questions that the tests ask them."""

    def __init__(self, spawn, pg, redis, state_dir, settings):
        self.pg = pg
        self.redis = redis.client(decode_responses=True)
        self.redis_server = redis
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.env = {
            "DATABASE_URL": pg.url,
            "REDIS_URL": redis.url,
            "API_LISTEN": f"127.0.0.1:{port}",
            "STATE_DIR": str(state_dir),
            "RETRY_BASE_SECONDS": "1",
            # A day, so that only what a test sends runs; tests of the schedule shorten it.
            "BATCH_INTERVAL": "86400",
            **settings,
        }
        self.worker = spawn("aion2-worker", self.env)
        self.beat = spawn("aion2-beat", self.env)
        self.api = spawn("aion2-api", self.env)
        wait_for(lambda: self.get("/health")["status"] == "ok", 20, "the api answering")
        wait_for(lambda: self.redis.scard("aion2:workers") == 1, 20, "the worker registering")

    def ctl(self, *args):
        """aion2ctl with our servers; fails the test unless it succeeds."""
        return run_program("aion2ctl", *args, env=self.env, check=True)

    def get(self, path):
        with urllib.request.urlopen(self.base + path, timeout=10) as reply:
            return json.load(reply)

    def push(self, task_id):
        """What a person types into redis-cli."""
        self.redis.lpush("celery", raw_message(task_id))

    def result(self, task_id):
        raw = self.redis.get(f"celery-task-meta-{task_id}")
        return json.loads(raw) if raw else None

    def wait_result(self, task_id, status="SUCCESS", timeout=60):
        def done():
            found = self.result(task_id)
            return found if found and found["status"] == status else None

        return wait_for(done, timeout, f"{status} of {task_id}")["result"]

    def run_batch(self, task_id):
        self.push(task_id)
        result = self.wait_result(task_id)
        assert result["status"] == "success", result
        return result

    def live_run(self):
        """Run id of the live generation, None before the first."""
        return self.pg.value("SELECT run_id FROM ranking_state")

    def live_run_is_indexed(self):
        """The worker does this after its answer."""
        return self.pg.value("SELECT count(*) FROM pg_indexes WHERE tablename = %s",
                             (f"ranking_entries_{self.live_run()}",)) == 2

    def wait_api(self, run_id):
        """Waits until the api serves that generation."""
        at = self.pg.value(
            """SELECT to_char(generated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
               FROM ranking_state WHERE run_id = %s""", (run_id,))
        assert at, f"run {run_id} is not the live generation"
        wait_for(lambda: self.get("/api/ranking/top?limit=1")["generated_at"] == at, 20,
                 f"the api serving run {run_id}")

    def assert_whole_board(self, size):
        """Every reader sees exactly one complete generation."""
        rows, ranks = self.pg.query("SELECT count(*), count(DISTINCT rank) FROM ranking_current")[0]
        assert (rows, ranks) == (size, size)
        board = self.get("/api/ranking?page_size=1")
        assert (board["is_snapshot"], board["total"]) == (True, size)

    def assert_nothing_pending(self):
        """Nobody holds or waits for a message any more."""
        held = [k for k in self.redis.scan_iter("aion2:held*") if self.redis.hlen(k)]
        assert held == []
        assert self.redis.llen("celery") == 0
        assert self.redis.zcard("aion2:delayed") == 0
        assert self.redis.llen("aion2:dead") == 0
        assert self.redis.llen("aion2:quarantine") == 0


@pytest.fixture
def start_stack(spawn, pg, make_redis, tmp_path):
    def start(population=0, redis=None, **settings):
        """Redis as compose.yaml has it, unless another is given: it keeps what it acknowledged."""
        if population:
            pg.query(POPULATE, (population,))
        state = tmp_path / "state"
        state.mkdir()
        redis = redis or make_redis(appendonly=True)
        return Stack(spawn, pg, redis, state, settings)

    return start


# ------------------------------------------------------------------------------ ways to ask for it


def test_raw_push_ctl_and_celery_client(start_stack):
    stack = start_stack(population=500)

    pushed = stack.run_batch("typed-by-hand")
    assert (pushed["processed"], pushed["failed"], pushed["servers"]) == (500, 0, 3)
    stack.wait_api(stack.live_run())
    stack.assert_whole_board(500)

    called = stack.ctl("call", TASK, "--wait", "30")
    assert json.loads(called.stdout)["processed"] == 500

    app = Celery(broker=stack.redis_server.url, backend=stack.redis_server.url)
    try:
        result = app.send_task(TASK).get(timeout=20)
    finally:
        app.close()
    assert result["status"] == "success" and result["processed"] == 500

    assert stack.pg.value("SELECT count(*) FROM batch_runs WHERE state = 'success'") == 3
    stack.wait_api(stack.live_run())
    stack.assert_whole_board(500)
    stack.assert_nothing_pending()


def test_the_sample_comes_out_ranked(start_stack):
    stack = start_stack()
    stack.ctl("import", TEST_DATA / "characters.csv")
    result = stack.run_batch("first")
    stack.wait_api(stack.live_run())
    board = stack.get("/api/ranking/top?limit=1000")
    assert board["total"] == result["processed"] > 0
    assert [i["rank"] for i in board["items"]] == list(range(1, board["total"] + 1))
    scores = [i["power_score"] for i in board["items"]]
    assert scores == sorted(scores, reverse=True)
    first = board["items"][0]
    query = urllib.parse.urlencode({"server": first["server"], "name": first["name"]})
    character = stack.get("/api/character?" + query)
    assert character["power_score"] == first["power_score"]
    assert character["power_rank"] == first["power_rank"]


def test_beat_makes_new_generations_by_itself(start_stack):
    stack = start_stack(population=50, BATCH_INTERVAL="1")
    slots = "SELECT count(DISTINCT slot) FROM batch_runs WHERE state = 'success'"
    wait_for(lambda: stack.pg.value(slots) >= 3, 30, "three batches of the schedule")
    seen = set()
    wait_for(lambda: seen.add(stack.get("/api/ranking/top")["generated_at"]) or len(seen) >= 2,
             20, "the api following the generations")
    # A slot is one run, whatever happens.
    assert stack.pg.value("SELECT count(*) - count(DISTINCT slot) FROM batch_runs") == 0


# --------------------------------------------------------------------------- parts die in a batch

# A lock that the batch must wait for holds it at a known point, however fast the machine is.
PHASES = {
    "reading": "LOCK TABLE characters IN ACCESS EXCLUSIVE MODE",
    "publishing": "LOCK TABLE ranking_servers IN SHARE MODE",
}


class Held:
    """Holds a batch in one of its phases."""

    def __init__(self, stack, phase):
        self.conn = stack.pg.connect(autocommit=False)
        with self.conn.cursor() as cur:
            cur.execute(PHASES[phase])
        self.pg = stack.pg
        self.pid = self.conn.get_backend_pid()

    def wait_batch(self):
        """Until a backend waits for our lock."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        wait_for(lambda: self.pg.value(waiting, (self.pid,)) > 0, 30, "the batch being held")

    def release(self):
        self.conn.close()


def kill_child(stack):
    """Every child, so also the one that runs the batch; all at once, or the next one would have it
    already when its turn comes, and a task that two children die of is given up."""
    children = children_of(stack.worker.pid)
    os.kill(stack.worker.pid, signal.SIGSTOP)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    os.kill(stack.worker.pid, signal.SIGCONT)


def kill_and_start(program):
    program.kill()
    program.start()


VICTIMS = {
    "child": kill_child,
    "worker": lambda stack: kill_and_start(stack.worker),
    "beat": lambda stack: kill_and_start(stack.beat),
    "api": lambda stack: kill_and_start(stack.api),
}
POPULATION = 20000


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_in_the_middle_of_a_batch(start_stack, victim, phase):
    stack = start_stack(population=POPULATION)
    stack.run_batch("before")
    before = stack.live_run()
    stack.wait_api(before)

    held = Held(stack, phase)
    stack.push("hit")
    held.wait_batch()
    assert stack.pg.value("SELECT state FROM batch_runs WHERE task_id = 'hit'") == "running"
    VICTIMS[victim](stack)
    # The old board is what everybody sees until the new one is complete.
    assert stack.live_run() == before
    held.release()

    result = stack.wait_result("hit")
    assert result["status"] == "success" and result["processed"] == POPULATION
    run, state = stack.pg.query("SELECT id, state FROM batch_runs WHERE task_id = 'hit'")[0]
    assert state == "success" and stack.live_run() == run
    wait_for(lambda: stack.get("/health")["status"] == "ok", 20, "the api answering")
    stack.wait_api(run)
    stack.assert_whole_board(POPULATION)
    wait_for(lambda: stack.assert_nothing_pending() is None, 20, "nothing pending")

    # The same message once more: the stored result, nothing computed, nothing changed.
    assert_second_delivery_changes_nothing(stack, run)


def assert_second_delivery_changes_nothing(stack, run):
    facts = "SELECT task_id, attempt, finished_at, result FROM batch_runs ORDER BY id"
    rows = stack.pg.query(facts)
    done = int(stack.redis.hget("aion2:counters", "done"))
    stack.push("hit")
    wait_for(lambda: int(stack.redis.hget("aion2:counters", "done")) > done, 30,
             "the second delivery ending")
    assert stack.pg.query(facts) == rows
    assert stack.live_run() == run


def test_postgresql_crashes_in_the_middle_of_a_batch(start_stack):
    stack = start_stack(population=POPULATION)
    stack.run_batch("before")
    stack.wait_api(stack.live_run())
    old_board = stack.get("/api/ranking?page_size=5")

    held = Held(stack, "publishing")
    stack.push("hit")
    held.wait_batch()
    stack.pg.stop("immediate")
    # The api goes on with what it has; nothing is lost while the database is away.
    assert stack.get("/api/ranking?page_size=5")["items"] == old_board["items"]
    held.release()
    stack.pg.start()

    result = stack.wait_result("hit")
    assert result["status"] == "success"
    assert int(stack.redis.hget("aion2:counters", "retried")) >= 1
    run = stack.pg.value("SELECT id FROM batch_runs WHERE task_id = 'hit' AND state = 'success'")
    assert stack.live_run() == run
    stack.wait_api(run)
    stack.assert_whole_board(POPULATION)
    stack.assert_nothing_pending()
    assert_second_delivery_changes_nothing(stack, run)


def test_redis_crashes_in_the_middle_of_a_batch(start_stack):
    stack = start_stack(population=POPULATION)
    held = Held(stack, "publishing")
    stack.push("hit")
    held.wait_batch()
    stack.redis_server.kill()
    held.release()
    state = "SELECT state FROM batch_runs WHERE task_id = 'hit'"
    wait_for(lambda: stack.pg.value(state) == "success", 30, "the batch ending without Redis")
    stack.redis_server.start()
    assert stack.wait_result("hit")["processed"] == POPULATION
    wait_for(lambda: stack.assert_nothing_pending() is None, 20, "nothing pending")
    stack.wait_api(stack.live_run())


# -------------------------------------------------------------------------------- it does not grow


def memory_kb(stack):
    """Of every process of the system, added up by part."""
    workers = [stack.worker.pid, *children_of(stack.worker.pid)]
    return {
        "worker and children": sum(process_rss_kb(p) for p in workers),
        "beat": stack.beat.rss_kb(),
        "api": stack.api.rss_kb(),
    }


GROWTH_KB = 4096


def test_a_hundred_batches_leave_no_trace(start_stack):
    stack = start_stack(population=2000)
    size, memory = {}, {}
    for n in range(1, 101):
        stack.run_batch(f"run-{n}")
        if n in (3, 20, 100):
            stack.wait_api(stack.live_run())
            wait_for(stack.live_run_is_indexed, 20, "the work after the batch")
            stack.pg.query("CHECKPOINT")
            size[n] = stack.pg.value("SELECT pg_database_size(current_database())")
            memory[n] = memory_kb(stack)
    assert size[100] <= 1.2 * size[3], size
    for part, kb in memory[100].items():
        assert kb <= memory[20][part] + GROWTH_KB, (part, memory)
    generations = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ranking_entries'::regclass"
    assert stack.pg.value(generations) <= 3
    stack.assert_whole_board(2000)
    stack.assert_nothing_pending()


# --------------------------------------------------------------------------------------- a storm


def storm_hits(stack, dice):
    """One blow of the storm, at a random part."""
    blow = dice.choice(["worker", "beat", "api", "child", "redis", "postgresql", "none", "none"])
    if blow == "redis":
        stack.redis_server.kill()
        stack.redis_server.start()
    elif blow == "postgresql":
        stack.pg.restart("immediate")
    elif blow != "none":
        VICTIMS[blow](stack)
    return blow


def push_noted(stack, task_id):
    """Redis keeps the message and the note, or neither."""
    with stack.redis.pipeline(transaction=True) as step:
        step.sadd("storm:sent", task_id).lpush("celery", raw_message(task_id)).execute()


def storm(stack, seed):
    """Random parts die again and again; every message that Redis kept ends in exactly one result.

    Returns the ids that Redis forgot although it had acknowledged them.
    """
    dice = random.Random(seed)
    stack.run_batch("before")
    blows = []
    for n in range(40):
        push_noted(stack, f"storm-{n}")
        blows.append(storm_hits(stack, dice))
        wait_for(lambda: stack.redis.ping(), 30, "Redis answering")
        kept = sorted(stack.redis.smembers("storm:sent"))
        known = dice.choice(kept) if kept else None
        if dice.random() < 0.3 and known:
            wait_for(lambda: stack.result(known), 120, f"{known}'s result after {blows}")
    kept = stack.redis.smembers("storm:sent")
    forgotten = {f"storm-{n}" for n in range(40)} - kept
    given_up = set()
    for task_id in kept:
        wait_for(lambda: stack.result(task_id)["status"] in ("SUCCESS", "FAILURE"), 300,
                 f"the result of {task_id} after {blows}")
        result = stack.result(task_id)
        if result["status"] == "FAILURE":
            # Children that died twice of the same message are the only reason to give up on it.
            assert result["result"]["exc_type"] == "WorkerLostError", result
            given_up.add(task_id)
    final = stack.run_batch("after")
    assert final["processed"] == POPULATION
    stack.wait_api(stack.live_run())
    stack.assert_whole_board(POPULATION)
    # Nobody wrote the end of a run whose every attempt was killed; a later batch does.
    running = {row[0] for row in
               stack.pg.query("SELECT task_id FROM batch_runs WHERE state = 'running'")}
    assert running <= given_up | forgotten
    return forgotten


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_a_storm_loses_nothing(start_stack, seed):
    assert storm(start_stack(population=POPULATION), seed) == set()


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_a_storm_loses_only_what_redis_forgets(start_stack, make_redis, tmp_path, seed):
    """With everysec a SIGKILL while Redis waits for the disk takes what it has acknowledged since
    (docs/operations.md)."""
    library = tmp_path / "slow_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library,
                    REPO / "test" / "integration" / "slow_disk.c"], check=True)
    redis = make_redis(appendonly=True, options={"appendfsync": "everysec"},
                       env={"LD_PRELOAD": str(library)})
    forgotten = storm(start_stack(population=POPULATION, redis=redis), seed)
    print(f"Redis forgot {sorted(forgotten)} of 40 messages")
    assert 0 < len(forgotten) < 40
