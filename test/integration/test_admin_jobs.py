"""The admin side over a running job system: schedules, queues, letters, workers, tasks, the overview."""

import json
import os
import threading

import jsonschema
import pytest

from admin_lab import Admin
from ctl_lab import HOSTILE
from harness import wait_for
from jobs import Jobs
from remote_lab import start_worker

NODE = "w1@lab"


@pytest.fixture
def admin(spawn, pg, redis_server, tmp_path):
    return Checked(spawn, pg, redis_server.url, tmp_path)


class Checked(Admin):
    """Every answer must be as /admin/openapi.json describes it."""

    description = None

    def ask(self, path, method="GET", body=None, **more):
        answer = super().ask(path, method, body, **more)
        if path == "/admin/openapi.json":
            return answer
        if self.description is None:
            self.description = super().ask("/admin/openapi.json").json
        if answer.status < 300:
            operation = self.operation(path.partition("?")[0], method.lower())
            schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
            resolver = jsonschema.RefResolver.from_schema(self.description)
            jsonschema.Draft202012Validator(schema, resolver=resolver).validate(answer.json)
        return answer

    def operation(self, path, method):
        def fits(pattern):
            a, b = pattern.split("/"), path.split("/")
            return len(a) == len(b) and all(x == y or x[:1] == "{" for x, y in zip(a, b))

        found = sorted((p for p in self.description["paths"]
                        if fits(p) and method in self.description["paths"][p]), key=lambda p: "{" in p)
        return self.description["paths"][found[0]][method]

    def done(self, path, body=None, status=200, **more):
        a = self.ask(path, "POST", body, **more)
        assert a.status == status, (path, a.status, a.body)
        return a.json

    def refused(self, status, path, body=None, param=None, **more):
        self.ask(path, "POST", body, **more).problem(status, param)


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


@pytest.fixture
def worker(spawn, redis_server):
    return start_worker(spawn, redis_server, NODE, WORKER_CONCURRENCY=2)


@pytest.fixture
def beat(spawn, redis_server):
    return spawn("aion2-beat", {"REDIS_URL": redis_server.url, "BATCH_INTERVAL": 86400})


def now(server):
    return server.client().time()[0]


# ------------------------------------------------------------------------------------- schedules


def test_a_schedule_from_its_making_to_its_end(admin, redis_server, beat):
    made = admin.done("/admin/schedules/report", {"task": "t.report", "cron": "30 4 * * *",
                                                  "tz": "Asia/Seoul", "args": [1]})
    assert made["changed"] and made["schedule"]["when"] == "cron 30 4 * * * Asia/Seoul"
    listed = admin.json("/admin/schedules")
    assert [s["name"] for s in listed["items"]] == ["batch", "prune", "report"]
    one = admin.json("/admin/schedules/report?next=3&last=2")
    assert len(one["next_slots"]) == 3 and all("04:30:00 KST" in s["text"] for s in one["next_slots"])
    assert one["next_slots"][0]["at"] == one["next"] and one["last_slots"] == []
    admin.done("/admin/schedules/report", {"every": 1, "overlap": "queue"})
    assert "cron" not in admin.json("/admin/schedules/report")
    wait_for(lambda: admin.json("/admin/schedules/report?last=3")["last_slots"], what="a slot")
    gone = admin.done("/admin/schedules/report/remove")
    assert gone["schedule"]["name"] == "report"
    admin.get("/admin/schedules/report").problem(404)
    rows = admin.audit("action LIKE 'schedule.%'")
    assert [r[1] for r in rows] == ["schedule.set", "schedule.set", "schedule.remove"]
    assert rows[0][6] is None and rows[0][7]["task"] == "t.report"
    assert rows[1][6]["cron"] == "30 4 * * *" and rows[1][7]["every"] == 1
    assert rows[2][6]["name"] == "report" and rows[2][7] is None


def test_a_pause_has_a_reason_and_slots_tell_of_it(admin, redis_server, beat):
    admin.done("/admin/schedules/p", {"task": "t.p", "every": 1, "overlap": "queue"})
    wait_for(lambda: admin.json("/admin/schedules/p").get("last"), what="a slot")
    admin.refused(400, "/admin/schedules/p/pause", {}, "reason")
    paused = admin.done("/admin/schedules/p/pause", {"reason": "server move"})["schedule"]["paused"]
    assert (paused["reason"], paused["by"]) == ("server move", "env")

    def skipped():
        slot = admin.json(f"/admin/schedules/p/why?slot={now(redis_server)}")
        return slot if slot["verdict"] == "skipped" else None

    told = wait_for(skipped, what="a skipped slot")
    assert "p was paused by env since" in told["text"] and "(server move)" in told["text"]
    assert admin.done("/admin/schedules/p/resume")["changed"] is True
    assert admin.done("/admin/schedules/p/resume")["changed"] is False
    assert "paused" not in admin.json("/admin/schedules/p")
    assert admin.json("/admin/schedules/p/why?slot=" + str(now(redis_server) + 10))["verdict"] == "future"
    admin.get("/admin/schedules/p/why?slot=yesterday").problem(400, "slot")
    before, after = admin.audit("action = 'schedule.pause' AND status = 200")[0][6:8]
    assert "paused" not in before and after["paused"]["reason"] == "server move"


def test_run_now(admin, jobs):
    admin.done("/admin/schedules/r", {"task": "t.run", "cron": "0 4 * * *", "args": [5]})
    task = admin.done("/admin/schedules/r/run", status=202)["task_id"]
    [message] = [json.loads(m) for m in jobs.redis.lrange("celery", 0, -1)]
    assert message["headers"]["id"] == task and message["headers"]["task"] == "t.run"
    ledger = json.loads(jobs.redis.lindex("aion2:beat:ledger:r", 0))
    assert ledger["run"] is True and ledger["by"] == "env"


def test_what_schedules_refuse(admin, redis_server):
    for body in ({"every": 1}, {"task": "t", "every": 1, "cron": "* * * * *"}, {"task": "t", "cron": "x"},
                 {"task": "t", "cron": "0 0 * * *", "tz": "Mars/Base"}):
        assert admin.ask("/admin/schedules/x", "POST", body).status == 422
    admin.refused(400, "/admin/schedules/x", {"task": "t", "every": 1, "paused": {}}, "paused")
    admin.refused(422, "/admin/schedules/no%20name", {"task": "t", "every": 1})
    for verb in ("resume", "run", "remove"):
        admin.refused(404, f"/admin/schedules/nobody/{verb}")
    admin.refused(404, "/admin/schedules/nobody/pause", {"reason": "r"})
    redis_server.client().hset("aion2:schedules", "bad", "{")
    assert "error" in admin.json("/admin/schedules/bad")
    assert "error" in next(s for s in admin.json("/admin/schedules")["items"] if s["name"] == "bad")
    admin.refused(422, "/admin/schedules/bad/run")
    assert redis_server.client().hkeys("aion2:schedules") == [b"bad"]


def test_many_ask_for_times_in_many_zones_at_once(admin):
    zones = ["Asia/Seoul", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
    for i, zone in enumerate(zones):
        admin.done(f"/admin/schedules/z{i}", {"task": "t", "cron": "15 9 * * *", "tz": zone})
    wrong = []

    def ask(i):
        for _ in range(20):
            slots = admin.json(f"/admin/schedules/z{i}?next=20&last=0")["next_slots"]
            wrong.extend(s["text"] for s in slots if " 09:15:00 " not in s["text"])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(zones))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


# ---------------------------------------------------------------------------------------- queues


def test_queues_and_purging_one(admin, jobs):
    ids = [jobs.push("t.x", i, queue="slow") for i in range(3)]
    jobs.push("t.y", queue="slow\x06\x163")
    inside = admin.json("/admin/queues/slow?limit=2")
    assert inside["ready"] == 4 and [m["task"] for m in inside["messages"]] == ["t.x", "t.x"]
    assert inside["messages"][0]["id"] == ids[0]
    listed = admin.json("/admin/queues")
    assert [q["name"] for q in listed["queues"]] == ["celery"]
    wrong = admin.ask("/admin/queues/slow/purge", "POST", {"confirm": "celery"})
    wrong.problem(422, "confirm")
    assert "4 messages" in wrong.json["detail"] and jobs.redis.llen("slow") == 3
    admin.refused(400, "/admin/queues/slow/purge", {}, "confirm")
    assert admin.done("/admin/queues/slow/purge", {"confirm": "slow"}) == {"purged": 4}
    assert jobs.redis.llen("slow") == 0 and jobs.counter("purged") == 4
    before, after = admin.audit("action = 'queue.purge' AND status = 200")[0][6:8]
    assert before == {"ready": 4} and after == {"purged": 4}


def test_delayed(admin, jobs):
    due_ms = (now(jobs.server) + 100) * 1000
    member = {"q": "celery", "m": json.dumps({"task": "t.later", "id": "later", "args": []}), "n": "b:1",
              "id": "later"}
    jobs.redis.zadd("aion2:delayed", {json.dumps(member): due_ms})
    doc = admin.json("/admin/delayed?limit=5")
    assert doc["count"] == 1 and doc["messages"][0]["task"] == "t.later"
    assert 90 <= doc["messages"][0]["due_in_s"] <= 100
    assert admin.json("/admin/queues")["delayed"]["count"] == 1


# --------------------------------------------------------------------------------------- letters


def make_dead(jobs, n, task="test.fail"):
    ids = [jobs.push(task, "boom %d" % i, max_retries=0) for i in range(n)]
    for task_id in ids:
        jobs.ended(task_id, 30)
    wait_for(lambda: jobs.redis.llen("aion2:dead") >= n, what="dead letters")
    return ids


def pages(admin, path, limit):
    found, more = [], ""
    while True:
        page = admin.json(f"{path}?limit={limit}{more}")
        found += page["letters"]
        if "next" not in page:
            return found
        assert len(page["letters"]) == limit
        more = "&before=" + page["next"]


def test_dead_letters_page_by_page(admin, jobs, worker):
    ids = make_dead(jobs, 7)
    listed = pages(admin, "/admin/dead", 3)
    assert sorted(d["id"] for d in listed) == sorted(ids) and len(listed) == 7
    assert [d["id"] for d in listed] == [d["id"] for d in pages(admin, "/admin/dead", 100)]
    first = admin.json("/admin/dead?limit=3")
    assert (first["total"], first["matched"]) == (7, 7)
    # What comes and goes meanwhile moves nothing.
    jobs.redis.lpush("aion2:dead", json.dumps({"at": now(jobs.server), "id": "new", "task": "t", "error": "e",
                                               "retries": 0, "b64": ""}))
    admin.done("/admin/dead/drop", {"names": [first["letters"][1]["id"]]})
    rest = pages(admin, "/admin/dead", 2)
    later = admin.json(f"/admin/dead?limit=100&before={first['next']}")["letters"]
    assert [d["id"] for d in later] == [d["id"] for d in listed[3:]] and rest[0]["id"] == "new"
    admin.get("/admin/dead?before=x").problem(400, "before")


def test_retry_and_drop_by_filter(admin, jobs, worker):
    ids = make_dead(jobs, 4)
    jobs.redis.lpush("aion2:dead", json.dumps({"at": 5, "id": "old", "task": "reports.daily", "error": HOSTILE,
                                               "retries": 3, "b64": "e30="}))
    assert admin.json("/admin/dead?task=reports.*")["matched"] == 1
    assert admin.json("/admin/dead?error=BOOM%202")["matched"] == 1
    assert admin.json("/admin/dead?older_s=100000")["matched"] == 1
    one = admin.json(f"/admin/dead/{ids[0]}")
    assert one["id"] == ids[0] and json.loads(one["message"])["task"] == "test.fail"
    assert admin.json("/admin/dead/old")["error"] == HOSTILE
    assert admin.json("/admin/dead/" + one["handle"][:8])["id"] == ids[0]
    admin.get("/admin/dead/nobody").problem(404)
    admin.refused(422, "/admin/dead/retry", {})
    admin.refused(422, "/admin/dead/retry", {"dry_run": True})
    admin.refused(404, "/admin/dead/retry", {"names": ["nobody"]}, "names")
    dry = admin.done("/admin/dead/retry", {"task": "test.*", "dry_run": True})
    assert (dry["changed"], dry["dry_run"]) == (4, True) and jobs.redis.llen("aion2:dead") == 5
    assert admin.done("/admin/dead/retry", {"task": "test.*", "queue": "aside"})["changed"] == 4
    assert jobs.redis.llen("aside") == 4 and jobs.counter("dead_retried") == 4
    assert admin.done("/admin/dead/drop", {"all": True})["changed"] == 1
    assert admin.json("/admin/dead")["letters"] == []
    rows = admin.audit("action IN ('dead.retry', 'dead.drop') AND status = 200")
    assert [(r[6].get("task"), r[7]["changed"], r[7]["dry_run"]) for r in rows] == [
        ("test.*", 4, True), ("test.*", 4, False), (None, 1, False)]


def test_quarantine(admin, jobs, worker):
    jobs.redis.lpush("celery", "not json", "nor \udcff".encode("utf-8", "surrogateescape"))
    wait_for(lambda: jobs.redis.llen("aion2:quarantine") == 2, what="the quarantine")
    listed = admin.json("/admin/quarantine?reason=json")["letters"]
    texts = [admin.json("/admin/quarantine/" + q["handle"]) for q in listed]
    assert {t.get("message") for t in texts} == {"not json", None} and any("b64" in t for t in texts)
    handle = next(t["handle"] for t in texts if t.get("message"))
    assert admin.done("/admin/quarantine/replay", {"names": [handle], "queue": "aside"})["changed"] == 1
    assert jobs.redis.lrange("aside", 0, -1) == ["not json"]
    assert admin.done("/admin/quarantine/drop", {"all": True})["changed"] == 1
    admin.refused(400, "/admin/quarantine/drop", {"task": "x"}, "task")


# --------------------------------------------------------------------------------------- workers


def test_workers_and_their_children(admin, jobs, worker):
    task = jobs.push("test.sleep", 60)
    running = wait_for(lambda: admin.json("/admin/tasks/running")["items"], what="the task")
    assert (running[0]["id"], running[0]["worker"]) == (task, NODE)
    [listed] = admin.json("/admin/workers")["workers"]
    assert listed["name"] == NODE and listed["alive"] and listed["running"][0]["task"] == "test.sleep"
    one = admin.json(f"/admin/workers/{NODE}")
    busy = [p for p in one["processes"] if "task" in p]
    assert one["answers"] and len(one["processes"]) == 2 and [p["id"] for p in busy] == [task]
    assert busy[0]["pid"] != one["pid"] and one["memory_bytes"] > 0
    admin.done("/admin/tasks/revoke", {"ids": [task], "terminate": True})
    assert jobs.ended(task)["status"] == "REVOKED"
    admin.refused(400, "/admin/tasks/revoke", {"ids": []}, "ids")
    admin.refused(400, "/admin/tasks/revoke", {"ids": ["a\nb"]}, "ids")
    [row] = admin.audit("action = 'task.revoke' AND status = 200")
    assert row[6]["ids"] == [task] and NODE in row[7]["nodes"]


def test_grow_shrink_and_stop(admin, jobs, worker):
    def children():
        found = admin.json("/admin/workers")["workers"]
        return found and found[0].get("children")

    wait_for(lambda: children() == 2, what="the children")
    told = admin.done(f"/admin/workers/{NODE}/grow", {"children": 2}, status=202)
    assert told == {"worker": NODE, "answer": "pool will grow", "children": 2}
    wait_for(lambda: children() == 4, what="four children")
    admin.done(f"/admin/workers/{NODE}/shrink", {}, status=202)
    wait_for(lambda: children() == 3, what="three children")
    admin.refused(422, f"/admin/workers/{NODE}/shrink", {"children": 400})
    admin.refused(404, "/admin/workers/nobody/grow", {})
    admin.get("/admin/workers/nobody").problem(404)
    admin.done(f"/admin/workers/{NODE}/stop", status=202)
    assert worker.wait(30) == 0
    before = admin.audit("action = 'worker.grow' AND status = 202")[0][6]
    assert (before["name"], before["children"]) == (NODE, 2)


def test_a_worker_that_hangs_is_shown_all_the_same(admin, worker):
    wait_for(lambda: admin.json("/admin/workers")["workers"], what="the worker")
    os.kill(worker.pid, 19)
    try:
        one = admin.json(f"/admin/workers/{NODE}")
        assert not one["answers"] and one["name"] == NODE and "processes" not in one
        admin.ask(f"/admin/workers/{NODE}/grow", "POST", {}).problem(503)
    finally:
        os.kill(worker.pid, 18)


# ------------------------------------------------------------------------------------ all together


def test_conservation(admin, jobs):
    assert admin.json("/admin/conservation")["ok"] is True
    jobs.redis.hset("aion2:held:ghost", "1", "celery\n{}")
    assert admin.json("/admin/conservation?thorough=1")["held"]["stranded"] == 1


def test_source(admin, redis_server):
    doc = admin.json("/admin/source")
    assert (doc["state"], doc["adapter"], doc["interval_ms"]) == ("unused", "dummy", 1000)
    at_ms = now(redis_server) * 1000
    fields = {"ok": 3, "asked": 5, "last_ok_ms": at_ms - 7000, "failures": 2, "busy": 2}
    redis_server.client().hset("aion2:source", mapping=fields)
    doc = admin.json("/admin/source")
    assert (doc["state"], doc["ok"], doc["asked"]) == ("failing", 3, 5) and doc["last_ok"] == at_ms // 1000 - 7
    redis_server.client().hset("aion2:source", mapping={"rest_until_ms": at_ms + 60000, "rest_reason": "busy"})
    doc = admin.json("/admin/source")
    assert doc["state"] == "resting" and 55 <= doc["rest_s"] <= 61 and doc["rest_reason"] == "busy"


def test_overview(admin, jobs, worker, beat, pg):
    jobs.push("test.sleep", 60)
    jobs.push("t", queue="celery\x06\x169")
    wait_for(lambda: admin.json("/admin/tasks/running")["items"], what="the task")
    admin.done("/admin/schedules/soon", {"task": "t.soon", "every": 600})

    def complete():
        doc = admin.json("/admin/overview")
        names = {s["name"] for s in doc.get("timetable", [])}
        return doc if "soon" in names and doc["beats"] else None

    doc = wait_for(complete, what="the overview")
    assert doc["redis"]["reachable"] and doc["postgresql"]["reachable"] and doc["conservation"]["ok"]
    assert doc["workers"][0]["running"][0]["task"] == "test.sleep" and doc["source"]["state"] == "unused"
    assert [q["name"] for q in doc["queues"]] == ["celery"] and doc["runs"] == []
    assert {s["name"] for s in doc["timetable"]} == {"soon", "batch", "prune"}
    due = {s["name"]: s["next"] for s in doc["timetable"]}
    # Soonest first; before midnight, which is a slot of the batch, others may be due with it.
    assert list(due.values()) == sorted(due.values()) and due["soon"] == min(due.values())


def test_readings_go_on_without_postgresql_and_the_overview_without_both(spawn, pg, redis_server, tmp_path):
    admin = Checked(spawn, pg, redis_server.url, tmp_path, DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    assert admin.json("/admin/queues")["queues"][0]["ready"] == 0
    doc = admin.json("/admin/overview")
    assert doc["redis"]["reachable"] and not doc["postgresql"]["reachable"] and "runs" not in doc
    admin.ask("/admin/dead/drop", "POST", {"all": True}).problem(503)
    redis_server.stop()
    wait_for(lambda: not admin.json("/admin/overview")["redis"]["reachable"], what="the outage")
    assert "queues" not in admin.json("/admin/overview")
    admin.get("/admin/queues").problem(503)


SCOPES = {"read": ["/admin/schedules", "/admin/queues", "/admin/dead", "/admin/quarantine", "/admin/workers",
                   "/admin/source", "/admin/conservation", "/admin/overview", "/admin/tasks/running",
                   "/admin/delayed"],
          "operate": ["/admin/schedules/x/pause", "/admin/schedules/x/resume", "/admin/schedules/x/run",
                      "/admin/dead/retry", "/admin/quarantine/replay", "/admin/workers/x/grow",
                      "/admin/workers/x/shrink", "/admin/tasks/revoke"],
          "admin": ["/admin/schedules/x", "/admin/schedules/x/remove", "/admin/queues/x/purge",
                    "/admin/dead/drop", "/admin/quarantine/drop", "/admin/workers/x/stop"]}


def test_scopes(admin):
    admin.get("/admin/openapi.json")
    admin.json("/admin/schedules")
    for scope, paths in SCOPES.items():
        for path in paths:
            operation = admin.operation(path, "get" if scope == "read" else "post")
            assert operation["x-scope"] == scope, path
