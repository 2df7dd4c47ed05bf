"""Batches and servers on the admin side, with the real worker: start, list, one in full, progress,
cancel, failures. And the same by aion2ctl, which shows the same documents."""

import json
from contextlib import contextmanager

import pytest

from admin_lab import Admin
from batch_lab import add, batch
from ctl_lab import json_of
from harness import wait_for
from test_batch_runs import held_up, published, waits


@pytest.fixture
def admin(spawn, pg, redis_server, tmp_path):
    return Admin(spawn, pg, redis_server.url, tmp_path)


@pytest.fixture
def worker(spawn, env):
    return spawn("aion2-worker", env={**env, "WORKER_NAME": "w@lab", "WORKER_CONCURRENCY": "1"})


def populate(pg, n=30):
    return add(pg, [("Siel", f"c{i}", "Warrior", 1, i, {"attack": i}) for i in range(n)])


def start(admin):
    return admin.post("/admin/batches").json["task_id"]


def state_of(admin, task):
    return admin.json(f"/admin/batches/{task}")["state"]


def test_from_the_request_to_the_end(admin, pg, spawn, env):
    populate(pg)
    add(pg, [("Siel", "broken", "Warrior", 1, 1, {"attack": "many"}),
             ("Siel", "wrecked", "Warrior", 1, 1, {"attack": "lots"})])
    a = admin.post("/admin/batches", {"reason": "after the import"})
    task = a.json["task_id"]
    waiting = admin.json(a.headers["location"])
    assert (waiting["id"], waiting["state"]) == (None, "waiting")
    assert (waiting["requested"]["by"], waiting["requested"]["reason"]) == ("env", "after the import")
    spawn("aion2-worker", env={**env, "WORKER_NAME": "w@lab"})
    wait_for(lambda: state_of(admin, task) == "success", 30, "the batch")
    run = admin.json(a.headers["location"])
    assert (run["processed"], run["failed"], run["entries"], run["attempt"]) == (30, 2, 30, 1)
    assert run["worker"] == "w@lab" and run["live"] is True and run["error"] is None
    assert [p["name"] for p in run["phases"]][:4] == ["connect", "claim", "lock", "snapshot"]
    assert sum(p["seconds"] for p in run["phases"]) <= run["seconds"] + 0.1
    assert run["averages"][0]["server"] == "Siel" and run["averages"][0]["sample_size"] == 30
    groups = run["failures_by_reason"]
    assert (groups["total"], groups["noted"]) == (2, 2)
    assert sum(g["count"] for g in groups["groups"]) == 2
    assert {e["name"] for g in groups["groups"] for e in g["examples"]} == {"broken", "wrecked"}
    assert admin.json(f"/admin/batches/{run['id']}") == run
    [shown] = admin.json("/admin/batches")["items"]
    assert shown == {k: run[k] for k in shown}


def test_failures_come_in_pages(admin, pg):
    add(pg, [("Siel", f"bad{i}", "Warrior", 1, i, {"attack": "x"}) for i in range(7)])
    populate(pg, 3)
    batch(pg, "task-1")
    run = admin.json("/admin/batches/task-1")
    [group] = run["failures_by_reason"]["groups"]
    assert (group["stat"], group["count"], len(group["examples"])) == ("attack", 7, 3)
    first = admin.json("/admin/batches/task-1/failures?limit=4")
    rest = admin.json(f"/admin/batches/{run['id']}/failures?limit=4&after={first['next_after']}")
    assert [f["name"] for f in first["items"] + rest["items"]] == [f"bad{i}" for i in range(7)]
    assert rest["next_after"] is None and first["total"] == 7


def test_list_by_pages_and_state(admin, pg):
    populate(pg, 3)
    for i in range(5):
        batch(pg, f"task-{i}")
    pg.query("UPDATE batch_runs SET state = 'failed', error = 'no' WHERE task_id = 'task-2' RETURNING id")
    seen, path = [], "/admin/batches?limit=2"
    while path:
        page = admin.json(path)
        seen += [i["task_id"] for i in page["items"]]
        path = page["next_before"] and f"/admin/batches?limit=2&before={page['next_before']}"
    assert seen == [f"task-{i}" for i in (4, 3, 2, 1, 0)]
    assert [i["task_id"] for i in admin.json("/admin/batches?state=failed")["items"]] == ["task-2"]
    admin.get("/admin/batches?state=nosuch").problem(400, "state")


def test_progress_and_estimate_of_the_running_one(admin, pg, worker):
    populate(pg)
    first = start(admin)
    wait_for(lambda: state_of(admin, first) == "success", 30, "a first batch")
    with held_up(pg, "writing"):
        task = start(admin)
        wait_for(lambda: waits(pg, "writing"), 20, "the batch writing")

        def progress():
            return admin.json(f"/admin/batches/{task}").get("progress")

        wait_for(lambda: (progress() or {}).get("phase") == "write", 20, "the heartbeat")
        p = progress()
        assert p["from_runs"] == 1 and p["phase_seconds"] >= 0
        assert 0 <= p["share"] <= 1 and p["seconds_left"] >= 0 and p["estimated_end_at"]
    wait_for(lambda: state_of(admin, task) == "success", 30, "the batch")
    assert "progress" not in admin.json(f"/admin/batches/{task}")


@contextmanager
def running(admin, pg, point):
    with held_up(pg, point):
        task = start(admin)
        wait_for(lambda: waits(pg, point), 20, f"the batch {point}")
        yield task


@pytest.mark.parametrize("point", ["reading", "writing", "publishing"])
def test_a_cancelled_batch_leaves_the_board_alone(admin, pg, worker, point):
    populate(pg)
    batch(pg, "before")
    add(pg, [("Siel", "newcomer", "Warrior", 1, 5, {"attack": 5})])
    before = published(pg)
    with running(admin, pg, point) as task:
        run = admin.json(f"/admin/batches/{task}")["id"]
        a = admin.post(f"/admin/batches/{run}/cancel", body=b"", headers={"Content-Type": "text/plain"})
        assert a.status == 200, a.body
        assert (a.json["id"], a.json["state"], a.json["was"]) == (run, "cancelled", "running")
        assert a.json["told"] and a.json["workers"]
        # The child is ended while the lock is still held.
        wait_for(lambda: not waits(pg, point), 20, "the end of the batch")
    assert published(pg) == before
    shown = admin.json(f"/admin/batches/{run}")
    assert shown["state"] == "cancelled" and "cancelled by env" in shown["error"]
    wait_for(lambda: admin.json(f"/admin/batches/{run}")["phases"], 20, "the phases it went through")
    assert admin.json(f"/admin/batches/{run}")["error"] == shown["error"]
    [row] = admin.audit("action = 'batch.cancel'")
    assert row[3] == 200 and row[6] == {"state": "running"} and row[7] == {"state": "cancelled"}
    # The next one runs as ever.
    task = start(admin)
    wait_for(lambda: state_of(admin, task) == "success", 30, "another batch")
    assert published(pg) != before


def test_a_cancelled_batch_publishes_nothing_even_if_no_worker_hears(admin, pg, worker, redis_server):
    populate(pg)
    batch(pg, "before")
    before = published(pg)
    with running(admin, pg, "reading") as task:
        redis_server.pause()
        try:
            a = admin.post(f"/admin/batches/{task}/cancel", body=b"")
            assert a.status == 200 and (a.json["told"], a.json["workers"]) == (False, [])
        finally:
            redis_server.resume()
    wait_for(lambda: "SupersededError" in worker.log() or "batch.failed" in worker.log(), 30, "the batch's end")
    assert published(pg) == before
    assert state_of(admin, task) == "cancelled"


def test_cancelled_before_it_began(admin, pg, spawn, env, redis_server):
    populate(pg)
    task = start(admin)
    a = admin.post(f"/admin/batches/{task}/cancel", body=b"")
    assert (a.status, a.json["was"]) == (200, "waiting")
    worker = spawn("aion2-worker", env=env)
    wait_for(lambda: redis_server.client().llen("celery") == 0 and "task.revoked" in worker.log()
             or redis_server.client().get(f"celery-task-meta-{task}") is not None, 30, "the message")
    assert json.loads(redis_server.client().get(f"celery-task-meta-{task}"))["status"] == "REVOKED"
    assert pg.query("SELECT count(*) FROM ranking_state") == [(0,)]
    assert state_of(admin, task) == "cancelled"


def test_a_failed_run_tells_how_far_it_came(admin, pg, spawn, env):
    populate(pg, 3)
    pg.query("DROP TABLE ranking_servers CASCADE; SELECT 1")
    task = start(admin)
    spawn("aion2-worker", env={**env, "RETRY_BASE_SECONDS": "0"})
    wait_for(lambda: state_of_row(pg, task) == "failed", 30, "the failure")
    [(error, phases)] = pg.query("SELECT error, phases FROM batch_runs WHERE task_id = %s", (task,))
    assert "ranking_servers" in error and {"read", "score", "write", "publish"} <= set(phases)


def state_of_row(pg, task):
    return pg.value("SELECT state FROM batch_runs WHERE task_id = %s", (task,))


def test_what_cannot_be_cancelled(admin, pg):
    populate(pg, 3)
    batch(pg, "task-1")
    admin.post("/admin/batches/nosuch/cancel", body=b"").problem(404)
    assert "success" in admin.post("/admin/batches/task-1/cancel", body=b"").problem(409)
    assert [r[3] for r in admin.audit("action = 'batch.cancel'")] == [404, 409]


def test_a_run_whose_message_comes_again_stays_cancelled(admin, pg):
    populate(pg, 3)
    task = start(admin)
    admin.post(f"/admin/batches/{task}/cancel", body=b"")
    assert batch(pg, task)["status"] == "cancelled"
    assert pg.query("SELECT count(*) FROM ranking_state") == [(0,)]


def test_servers_now_and_over_time(admin, pg):
    assert admin.json("/admin/servers") == {"run": None, "generated_at": None, "servers": []}
    populate(pg, 10)
    add(pg, [("새 서버", "가", "Cleric", 1, 1, {"attack": 7})])
    for i in range(3):
        batch(pg, f"task-{i}")
    now = admin.json("/admin/servers")
    assert [s["server"] for s in now["servers"]] == ["Siel", "새 서버"]
    siel = now["servers"][0]
    assert siel["sample_size"] == 10 and siel["averages"]["attack"] == 4
    assert sum(t["count"] for t in siel["tiers"].values()) == 10
    page = admin.json("/admin/servers/%EC%83%88%20%EC%84%9C%EB%B2%84?limit=2")
    assert page["server"] == "새 서버" and len(page["points"]) == 2
    rest = admin.json(f"/admin/servers/%EC%83%88%20%EC%84%9C%EB%B2%84?limit=2&before={page['next_before']}")
    assert len(rest["points"]) == 1 and rest["next_before"] is None
    assert page["points"][0]["run"] == now["run"]
    admin.get("/admin/servers/Nowhere").problem(404)


def test_aion2ctl_shows_the_same_of_servers(admin, pg, ctl):
    assert "no ranking yet" in ctl("server").stdout
    populate(pg, 10)
    add(pg, [("새 서버", "가", "Cleric", 1, 1, {"attack": 7})])
    for i in range(3):
        batch(pg, f"task-{i}")
    assert json_of(ctl("server", "--json")) == admin.json("/admin/servers")
    assert json_of(ctl("server", "show", "새 서버", "--limit", "2", "--json")) == admin.json(
        "/admin/servers/%EC%83%88%20%EC%84%9C%EB%B2%84?limit=2")
    lines = ctl("server", "list").stdout.splitlines()
    assert lines[1].split()[:3] == ["Siel", "10", "4"] and lines[2].startswith("새 서버")
    assert len(ctl("server", "show", "Siel").stdout.splitlines()) == 1 + 3
    assert ctl("server", "show", "Nowhere").returncode == 1
    assert ctl("server", "show").returncode == 64


def test_aion2ctl_shows_the_same(admin, pg, ctl):
    populate(pg, 3)
    add(pg, [("Siel", "bad", "Warrior", 1, 1, {"attack": "x"})])
    batch(pg, "task-1")
    run = admin.json("/admin/batches/task-1")
    assert json_of(ctl("batch", "show", "task-1", "--json")) == run
    assert json_of(ctl("batch", "--json")) == admin.json("/admin/batches?limit=20")
    assert json_of(ctl("batch", "failures", str(run["id"]), "--json")) == admin.json(
        "/admin/batches/task-1/failures")
    for words, text in ((["list"], "success"), (["show", "task-1"], "attack"),
                        (["failures", "task-1"], "bad")):
        done = ctl("batch", *words)
        assert done.returncode == 0 and text in done.stdout, done.stderr
    assert ctl("batch", "show", "nosuch").returncode == 1
    assert ctl("batch", "show").returncode == 64


def test_aion2ctl_starts_and_cancels(admin, ctl, redis_server):
    task = ctl("batch", "start", "--reason", "why not", check=True).stdout.strip()
    assert redis_server.client().llen("celery") == 1
    requested = admin.json(f"/admin/batches/{task}")["requested"]
    assert requested["by"].startswith("ctl:") and requested["reason"] == "why not"
    assert ctl("batch", "cancel", task).returncode == 0
    assert state_of(admin, task) == "cancelled"
    assert [(r[1], r[3], r[5]) for r in admin.audit()] == [
        ("batch.start", 200, "aion2ctl"), ("batch.cancel", 200, "aion2ctl")]
    assert ctl("batch", "cancel", "nosuch").returncode == 1
    task = ctl("batch", "start", check=True).stdout.strip()
    redis_server.kill()
    done = ctl("batch", "cancel", task)
    assert done.returncode == 0 and "in vain" in done.stdout
    assert ctl("batch", "start").returncode == 69
