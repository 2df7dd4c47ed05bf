"""The admin side: its doors, who may ask, what is written down, requests that are sent twice."""

import json
import os
import stat

import pytest

import harness
from admin_lab import ENV_TOKEN, Admin


@pytest.fixture
def admin(spawn, pg, redis_server, tmp_path):
    return Admin(spawn, pg, redis_server.url, tmp_path)


def test_who_asks(admin):
    me = admin.json("/admin/whoami")
    assert (me["principal"], me["scope"]) == ("env", "admin") and me["address"].startswith("127.0.0.1:")
    me = admin.json("/admin/whoami", local=True)
    assert me == {"principal": f"uid:{os.getuid()}", "scope": "admin", "address": "unix"}


def test_the_socket_is_only_for_its_owner(admin):
    mode = os.stat(admin.socket_path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_a_batch_is_asked_for_and_noted(admin, pg, redis_server):
    a = admin.post("/admin/batches", {"reason": "server merge"})
    assert a.status == 202, a.body
    task = a.json["task_id"]
    assert a.headers["location"] == f"/admin/batches/{task}"
    [message] = [json.loads(m) for m in redis_server.client().lrange("celery", 0, -1)]
    assert message["headers"]["id"] == task
    [row] = admin.audit()
    assert row[:4] == ("env", "batch.start", f"batch {task}", 202)
    assert row[7]["task_id"] == task
    [change] = admin.json("/admin/audit")["items"]
    assert change["action"] == "batch.start" and change["after"]["task_id"] == task


def test_list_is_empty_at_first(admin):
    assert admin.json("/admin/batches") == {"items": [], "next_before": None}


def test_same_key_same_answer(admin, redis_server):
    first = admin.post("/admin/batches", {"reason": "a"}, Idempotency_Key="k1")
    again = admin.post("/admin/batches", {"reason": "a"}, Idempotency_Key="k1")
    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json and again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers
    assert redis_server.client().llen("celery") == 1
    admin.post("/admin/batches", {"reason": "b"}, Idempotency_Key="k1").problem(422)
    assert redis_server.client().llen("celery") == 1
    assert [r[3] for r in admin.audit("idempotency_key = 'k1'")] == [202, 422]
