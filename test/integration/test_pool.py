"""The worker's children and its signals: limits, recycling, stopped children, SIGQUIT, SIGHUP."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from harness import bin_dir, children_of, wait_for
from jobs import BATCH, Jobs, celery_client, worker_env


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def start(spawn, redis_server):
    """start(NAME=value...): a worker with test tasks that has registered itself."""

    def start_worker(*args, program="aion2-worker", **env):
        w = spawn(program, env=worker_env(redis_server, **env), args=args)
        w.wait_log("event=worker.registered")
        return w

    return start_worker


def child_that_runs(worker, task_id):
    """Waits until a child runs it; its pid."""

    def pid():
        for line in worker.log().splitlines():
            if "event=task.started" in line and f'id="{task_id}"' in line:
                return int(line.split(" child=")[1].split()[0])
        return worker.must_run()

    return wait_for(pid, what=f"the start of {task_id}")


# ------------------------------------------------------------------------------------ limits


def test_soft_limit_asks_the_task_to_stop(start, jobs):
    w = start(WORKER_CONCURRENCY="1")
    doc = jobs.ended(jobs.push("test.limited", 30))
    assert doc["status"] == "FAILURE"
    assert doc["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert "event=child.died" not in w.log()
    jobs.quiet()


def test_hard_limit_ends_what_does_not_listen(start, jobs):
    w = start(WORKER_CONCURRENCY="1")
    doc = jobs.ended(jobs.push("test.stubborn", 30))
    assert doc["result"]["exc_type"] == "TimeLimitExceeded"
    assert w.log().count("event=child.soft_limit") == 1
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


# ------------------------------------------------------------------------------------ children


def test_children_are_replaced_after_so_many_tasks(start, jobs):
    w = start(WORKER_CONCURRENCY="2", WORKER_MAX_TASKS_PER_CHILD="4")
    before = set(children_of(w.pid))
    for task_id in [jobs.push("test.noop") for _ in range(40)]:
        jobs.ended(task_id)
    jobs.quiet()
    wait_for(lambda: not before & set(children_of(w.pid)), what="other children")
    assert "event=child.died" not in w.log()  # they went by themselves


def test_children_that_have_grown_are_replaced(start, jobs):
    w = start(WORKER_CONCURRENCY="1", WORKER_MAX_MEMORY_PER_CHILD=str(150 << 20))
    (before,) = children_of(w.pid)
    for _ in range(4):
        jobs.ended(jobs.push("test.leak", 50_000_000))
    wait_for(lambda: children_of(w.pid) not in ([before], []), what="another child")
    assert "event=child.worn_out" in w.log()
    jobs.quiet()


def test_a_stopped_child_that_goes_on_loses_nothing(start, jobs):
    w = start(WORKER_CONCURRENCY="1")
    task_id = jobs.push("test.sleep", 0.5)
    pid = child_that_runs(w, task_id)
    os.kill(pid, signal.SIGSTOP)
    w.wait_log(f"event=child.stopped child={pid}")
    os.kill(pid, signal.SIGCONT)
    w.wait_log(f"event=child.continued child={pid}")
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("requeued") == 0


def test_a_child_that_stays_stopped_is_given_up(start, jobs):
    w = start(WORKER_CONCURRENCY="2", STOPPED_CHILD_SECONDS="1")
    task_id = jobs.push("test.sleep", 2)
    pid = child_that_runs(w, task_id)
    time.sleep(0.1)  # it has begun by its own account, too
    os.kill(pid, signal.SIGSTOP)
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1  # the other child works
    w.wait_log(f"event=child.stopped_too_long child={pid}")
    assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("requeued") == 1


def test_what_children_write_is_logged_line_by_line(start, jobs):
    w = start(WORKER_CONCURRENCY="1")
    task_id = jobs.push("test.crash", kwargs={"signal": 6, "lines": ["first", 'a "quoted" one']})
    assert jobs.ended(task_id)["result"]["exc_type"] == "WorkerLostError"
    said = [line for line in w.log().splitlines() if "event=child.said" in line]
    assert len(said) == 4 and all(" child=" in line for line in said)
    assert 'line="first"' in said[0] and 'line="a \\"quoted\\" one"' in said[1]


def test_a_poison_message_keeps_the_last_words(start, jobs):
    start(WORKER_CONCURRENCY="1")
    lines = [f"line {n}" for n in range(300)]
    task_id = jobs.push("test.crash", kwargs={"signal": 12, "lines": lines})
    jobs.ended(task_id)
    (dead,) = jobs.dead()
    assert "signal 12" in dead["error"]
    kept = dead["log"].splitlines()
    assert 100 < len(kept) < 300 and kept == lines[-len(kept):]


def test_limits_of_a_message(start, jobs):
    start(WORKER_CONCURRENCY="2")
    soft = jobs.push("test.sleep", 30, timelimit=[None, 1])
    hard = jobs.push("test.sleep", 30, timelimit=[1, None])
    assert jobs.ended(soft)["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert jobs.ended(hard)["result"]["exc_type"] == "TimeLimitExceeded"


@pytest.fixture
def control(redis_server):
    for app in celery_client(redis_server):
        yield app.control


def test_the_pool_grows_and_shrinks_under_load(start, jobs, control):
    w = start(WORKER_CONCURRENCY="2")
    ids = [jobs.push("test.sleep", 0.01) for _ in range(100)]
    control.pool_grow(4, reply=True, timeout=5)
    wait_for(lambda: len(children_of(w.pid)) == 6, what="six children")
    ids += [jobs.push("test.sleep", 0.01) for _ in range(300)]
    control.pool_shrink(5, reply=True, timeout=5)
    wait_for(lambda: len(children_of(w.pid)) == 1, what="one child")
    for task_id in ids:
        assert jobs.ended(task_id)["status"] == "SUCCESS"
    jobs.quiet()
    assert jobs.counter("requeued") == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGUSR1"])
def test_a_running_task_is_terminated(start, jobs, control, name):
    w = start(WORKER_CONCURRENCY="1")
    task_id = jobs.push("test.sleep", 60)
    child_that_runs(w, task_id)
    control.revoke(task_id, terminate=True, signal=name, reply=True, timeout=5)
    doc = jobs.ended(task_id)
    assert doc["status"] == "REVOKED" and doc["result"]["exc_message"] == ["terminated"]
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    jobs.quiet()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR1", "soft limit"])
def test_a_batch_that_is_ended_leaves_nothing_behind(spawn, redis_server, pg, jobs, control, how):
    """Killed, its session goes with the process; asked to stop, it tidies up itself."""
    pg.query("INSERT INTO characters (server, name, stats_payload) VALUES ('Siel', 'x', '{}')")
    conn = pg.connect(autocommit=False)
    conn.cursor().execute("LOCK TABLE ranking_state IN EXCLUSIVE MODE")
    w = spawn("aion2-worker", env=worker_env(redis_server, pg.url))
    task_id = jobs.push(BATCH, timelimit=[None, 1] if how == "soft limit" else None)
    child_that_runs(w, task_id)
    wait_for(lambda: pg.value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0,
             what="the batch waiting to publish")
    if how != "soft limit":
        control.revoke(task_id, terminate=True, signal=how, reply=True, timeout=5)
    ended = {"soft limit": "SoftTimeLimitExceeded"}.get(how, "TaskRevokedError")
    assert jobs.ended(task_id)["result"]["exc_type"] == ended
    assert ("event=child.died" in w.log()) == (how == "SIGTERM")
    wait_for(lambda: pg.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0,
             what="the lock of the batch")
    conn.close()
    assert pg.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ranking_entries'::regclass"
                    ) == 0
    assert jobs.ended(jobs.push(BATCH))["result"]["status"] == "success"


def test_children_killed_at_random_lose_nothing(start, jobs):
    w = start(WORKER_CONCURRENCY="4")
    ids = [jobs.push("test.sleep", 0.02) for _ in range(150)]
    dice = random.Random(7)
    for _ in range(6):
        wait_for(lambda: len(children_of(w.pid)) == 4, what="four children")
        os.kill(dice.choice(children_of(w.pid)), signal.SIGKILL)
        time.sleep(dice.uniform(0.02, 0.1))
    lost_twice = [i for i in ids if jobs.ended(i)["status"] != "SUCCESS"]
    jobs.quiet()
    assert len(lost_twice) <= 3  # each took two of the six deaths


def test_256_children_start_and_stop(start, jobs):
    w = start("--concurrency", "256")
    wait_for(lambda: len(children_of(w.pid)) == 256, 60, "256 children")
    for task_id in [jobs.push("test.noop") for _ in range(300)]:
        jobs.ended(task_id, timeout=60)
    assert w.stop() == 0
    jobs.quiet()


# ------------------------------------------------------------------------------------ SIGQUIT


def test_sigquit_puts_everything_back_at_once(start, jobs):
    w = start(WORKER_CONCURRENCY="2", SHUTDOWN_GRACE="60")
    ids = [jobs.push("test.sleep", 60) for _ in range(4)]
    child_that_runs(w, ids[0])
    child_that_runs(w, ids[1])
    w.signal(signal.SIGQUIT)
    assert w.wait(10) == 0
    assert children_of(os.getpid()).count(w.pid) == 0
    assert jobs.waiting() == 4 and jobs.held_count() == 0 and jobs.balance() == 0


# ------------------------------------------------------------------------------------ SIGHUP


def reload(worker):
    """SIGHUP, and until it has registered again; it must stay the same process."""
    times = worker.log().count("event=worker.registered")
    worker.signal(signal.SIGHUP)
    wait_for(
        lambda: worker.log().count("event=worker.registered") > times or worker.must_run(),
        what="the new start",
    )


def test_sighup_reads_the_settings_again(start, jobs, tmp_path):
    settings = tmp_path / "settings"
    settings.write_text("# ours\nTASK_QUEUE=one\nWORKER_CONCURRENCY=3\n")
    w = start("--env-file", settings, TASK_QUEUE="ignored")
    first = jobs.push("test.sleep", 1, queue="one")
    child_that_runs(w, first)
    settings.write_text("TASK_QUEUE='two'\n")
    reload(w)
    assert jobs.document(first)["status"] == "SUCCESS"  # it ended before
    assert jobs.ended(jobs.push("test.add", 2, queue="two"))["result"] == 2
    assert len(children_of(w.pid)) == 2  # the default again
    settings.write_text("")
    reload(w)
    assert jobs.ended(jobs.push("test.add", 3, queue="ignored"))["result"] == 3
    assert jobs.counter("requeued") == 0 and jobs.balance() == 0
    assert w.stop() == 0


@pytest.mark.parametrize("bad", ["WORKER_CONCURRENCY=many\n", "what\n", "REDIS_URL=http://x\n"])
def test_settings_that_are_wrong_are_refused(start, jobs, tmp_path, bad):
    settings = tmp_path / "settings"
    settings.write_text("TASK_QUEUE=one\n")
    w = start("--env-file", settings)
    before = children_of(w.pid)
    settings.write_text("TASK_QUEUE=two\n" + bad)
    w.signal(signal.SIGHUP)
    w.wait_log("event=settings.refused")
    assert jobs.ended(jobs.push("test.add", 1, queue="one"))["result"] == 1
    assert children_of(w.pid) == before
    settings.unlink()
    w.signal(signal.SIGHUP)
    wait_for(lambda: w.log().count("event=settings.refused") == 2, what="the second refusal")
    assert w.stop() == 0


def test_servers_that_do_not_fit_are_refused(start, jobs, make_redis, pg_empty, tmp_path):
    settings = tmp_path / "settings"
    settings.write_text("")
    w = start("--env-file", settings)
    evicting = make_redis(options={"maxmemory-policy": "allkeys-lru"})
    settings.write_text(f"REDIS_URL={evicting.url}\n")
    w.signal(signal.SIGHUP)
    wait_for(lambda: w.log().count("event=settings.refused") == 1, what="the refusal of Redis")
    settings.write_text(f"DATABASE_URL={pg_empty.url}\n")
    w.signal(signal.SIGHUP)
    wait_for(lambda: w.log().count("event=settings.refused") == 2, what="the refusal of the schema")
    settings.write_text(f"REDIS_URL={evicting.url}\nALLOW_UNSAFE_REDIS=1\n")
    reload(w)
    assert Jobs(evicting).ended(Jobs(evicting).push("test.add", 1))["result"] == 1


def test_sighup_takes_a_program_that_was_replaced(start, jobs, tmp_path):
    program = tmp_path / "worker"
    shutil.copy(bin_dir() / "aion2-worker", program)
    w = start(program=str(program))
    shutil.copy(program, tmp_path / "new")
    os.rename(tmp_path / "new", program)
    assert os.readlink(f"/proc/{w.pid}/exe").endswith("(deleted)")
    reload(w)
    assert os.readlink(f"/proc/{w.pid}/exe") == str(program)
    program.unlink()
    w.signal(signal.SIGHUP)
    w.wait_log("event=settings.refused")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1


def test_a_program_that_vanishes_at_the_last_moment(start, jobs, tmp_path):
    program = tmp_path / "worker"
    shutil.copy(bin_dir() / "aion2-worker", program)
    w = start(program=str(program))
    task_id = jobs.push("test.sleep", 1)
    child_that_runs(w, task_id)
    w.signal(signal.SIGHUP)
    w.wait_log("event=worker.stopping")
    program.unlink()
    w.wait_log("event=worker.not_reloaded")
    assert jobs.document(task_id)["status"] == "SUCCESS"
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert w.stop() == 0


def test_sighup_while_redis_is_away(spawn, make_redis):
    server = make_redis(appendonly=True)
    jobs = Jobs(server)
    w = spawn("aion2-worker", env=worker_env(server, SHUTDOWN_GRACE="1"))
    ids = [jobs.push("test.sleep", 3) for _ in range(3)]
    child_that_runs(w, ids[0])
    server.kill()
    w.signal(signal.SIGHUP)
    w.wait_log("event=worker.reloading", timeout=30)
    server.start()
    for task_id in ids:
        assert jobs.ended(task_id, timeout=60)["status"] == "SUCCESS"
    jobs.quiet()


def test_sighup_again_and_again_loses_nothing(start, jobs, tmp_path):
    """Every task leaves a line in a file: none may be missing, none there twice."""
    trace = tmp_path / "trace"
    w = start(WORKER_CONCURRENCY="3")
    ids = []
    for round_ in range(12):
        for i in range(40):
            ids.append(jobs.push("test.append", str(trace), f"{round_}.{i}"))
            ids.append(jobs.push("test.sleep", 0.005))
        reload(w)
        w.signal(signal.SIGHUP)
        w.signal(signal.SIGHUP)
    for task_id in ids:
        assert jobs.ended(task_id, timeout=60)["status"] == "SUCCESS"
    jobs.quiet()
    assert w.stop() == 0
    lines = Path(trace).read_text().split()
    assert sorted(lines) == sorted(f"{r}.{i}" for r in range(12) for i in range(40))


def flood(jobs, trace, count):
    """Short tasks that leave a line each; children have many of them in their hands. The lines."""
    names = [str(n) for n in range(count)]
    for at in range(0, count, 1000):
        jobs.redis.lpush("celery", *(
            json.dumps({"task": "test.append", "id": f"flood-{n}", "args": [str(trace), n]})
            for n in names[at:at + 1000]))
    return names


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_children_killed_in_a_flood_cost_one_task_each(start, jobs, tmp_path):
    trace = tmp_path / "trace"
    w = start(WORKER_CONCURRENCY="4")
    dice = random.Random(13)
    names = flood(jobs, trace, 60_000)
    kills = 0
    while jobs.waiting() > 0:
        alive = children_of(w.pid)
        if alive:
            os.kill(dice.choice(alive), signal.SIGKILL)
            kills += 1
        time.sleep(dice.uniform(0.01, 0.1))
    jobs.quiet(timeout=60)
    lines = Path(trace).read_text().split()
    assert kills > 10
    assert set(names) - set(lines) == set()  # one that was hit twice has left its line, too
    assert len(lines) - len(names) <= jobs.counter("requeued") <= kills
    assert jobs.counter("recovered") == 0


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_sighup_in_a_flood_of_short_tasks(start, jobs, tmp_path):
    """While children are replaced all the time, too."""
    trace = tmp_path / "trace"
    w = start(WORKER_CONCURRENCY="3", WORKER_MAX_TASKS_PER_CHILD="500")
    dice = random.Random(11)
    names = flood(jobs, trace, 40_000)
    reloads = 0
    while jobs.waiting() > 0:
        reload(w)
        reloads += 1
        time.sleep(dice.uniform(0, 0.2))
    jobs.quiet(timeout=60)
    assert w.stop() == 0
    assert reloads > 3
    assert sorted(Path(trace).read_text().split(), key=int) == names
    assert jobs.counter("recovered") == 0


def test_sigterm_while_reloading_stops(start, jobs):
    w = start(WORKER_CONCURRENCY="1")
    task_id = jobs.push("test.sleep", 1)
    child_that_runs(w, task_id)
    w.signal(signal.SIGHUP)
    w.wait_log("event=worker.stopping")
    assert w.stop() == 0
    assert jobs.document(task_id)["status"] == "SUCCESS"
    assert w.log().count("event=worker.starting") == 1


# ------------------------------------------------------------------------------------ memory


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_valgrind_finds_nothing(spawn, redis_server, jobs, tmp_path):
    """A short load of everything the pool does, under valgrind's memcheck; children included."""
    if b"__asan_init" in (bin_dir() / "aion2-worker").read_bytes():
        pytest.skip("either valgrind or the sanitizer")
    wrapper = tmp_path / "worker"
    wrapper.write_text(
        "#!/bin/sh\nexec valgrind -q --leak-check=full --errors-for-leak-kinds=definite"
        f" --log-file={tmp_path}/valgrind.%p"
        f" {bin_dir() / 'aion2-worker'} \"$@\"\n")
    wrapper.chmod(0o755)
    w = spawn(str(wrapper), env=worker_env(redis_server, WORKER_MAX_TASKS_PER_CHILD="20",
                                           CHILD_PROGRAM=str(wrapper)))
    w.wait_log("event=worker.registered", timeout=60)
    ids = [jobs.push("test.echo", n, "text", [n]) for n in range(60)]
    ids += [jobs.push("test.fail", "ValueError", "x"), jobs.push("test.limited", 30),
            jobs.push("test.leak", 1000), jobs.push("maintenance.prune", kwargs={"only": ["dead"]})]
    crash = jobs.push("test.crash", kwargs={"lines": ["last words"]})
    for task_id in [*ids, crash]:
        jobs.ended(task_id, timeout=120)
    assert w.stop(60) == 0
    jobs.quiet()
    logs = list(tmp_path.glob("valgrind.*"))
    assert len(logs) > 3  # the worker and its children
    assert [log.read_text() for log in logs if log.read_text().strip()] == []
