"""aion2ctl doctor: every illness is found, and a healthy system is called healthy."""

import json

import pytest

import harness
from harness import wait_for
from jobs import worker_env
from sentinel import SentinelLab

HEALTHY = {"appendfsync": "everysec", "maxmemory": "512mb"}


@pytest.fixture
def healthy(make_redis):
    return make_redis(appendonly=True, options=HEALTHY)


def doctor(redis_url, database_url, code=None):
    """{(area, name): check} and the whole document."""
    done = harness.run_program("aion2ctl", "doctor", "--json",
                               env={"REDIS_URL": redis_url, "DATABASE_URL": database_url})
    assert code is None or done.returncode == code, done.stdout + done.stderr
    doc = json.loads(done.stdout)
    return {(c["area"], c["name"]): c for c in doc["checks"]}, doc


def levels(checks, *names):
    return [checks[name]["level"] for name in names]


def test_a_healthy_system(pg, healthy, spawn):
    w = spawn("aion2-worker", env=worker_env(healthy, pg.url))
    b = spawn("aion2-beat", env={"REDIS_URL": healthy.url})
    w.wait_log("worker.registered")
    wait_for(lambda: healthy.client().hlen("aion2:beats") == 1, what="the beat")
    assert b.running()
    # The tests' cluster runs without fsync, and the doctor must see that.
    checks, doc = doctor(healthy.url, pg.url, code=1)
    bad = {name for name, c in checks.items() if c["level"] not in ("ok", "unseen")}
    assert bad == {("PostgreSQL", "fsync"), ("PostgreSQL", "full pages")} and (
        doc["verdict"] == "problem")
    assert all("advice" in checks[name] for name in bad)
    for name in [("Redis", "clock"), ("Redis", "eviction"), ("Redis", "persistence"),
                 ("Redis", "disk"), ("PostgreSQL", "clocks"), ("PostgreSQL", "migrations"),
                 ("PostgreSQL", "in recovery"), ("Jobs", "keys"), ("Jobs", "queue"), ("Jobs", "workers"),
                 ("Jobs", "beats")]:
        assert checks[name]["level"] == "ok", checks[name]


@pytest.mark.parametrize("key, should", [("aion2:dead", "list"), ("aion2:delayed", "zset"),
                                         ("aion2:counters", "hash"), ("aion2:workers", "set")])
def test_a_key_that_holds_something_else(pg, healthy, key, should):
    healthy.client().set(key, "mine")
    checks, _ = doctor(healthy.url, pg.url, code=1)
    check = checks["Jobs", "keys"]
    assert check["level"] == "problem" and "RENAME" in check["advice"]
    assert check["text"] == f"{key} is a string, and should be a {should}"


def test_it_is_readable(pg, healthy):
    done = harness.run_program("aion2ctl", "doctor",
                               env={"REDIS_URL": healthy.url, "DATABASE_URL": pg.url})
    assert done.returncode == 1 and not done.stderr
    lines = done.stdout.splitlines()
    assert {"Redis", "PostgreSQL", "Jobs"} <= set(lines)
    assert max(map(len, lines)) <= 80 and "\033" not in done.stdout
    assert any("Start aion2-worker" in line for line in lines)


def test_illnesses_of_redis(pg, make_redis):
    server = make_redis(options={"maxmemory-policy": "allkeys-lru"})
    checks, _ = doctor(server.url, pg.url, code=1)
    assert levels(checks, ("Redis", "eviction"), ("Redis", "persistence"),
                  ("Redis", "memory")) == ["problem", "problem", "warning"]
    assert "noeviction" in checks["Redis", "eviction"]["advice"]
    client = server.client()
    client.config_set("save", "60 1")
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 1000)
    client.slaveof("127.0.0.1", 1)
    checks, _ = doctor(server.url, pg.url, code=1)
    assert levels(checks, ("Redis", "eviction"), ("Redis", "persistence"), ("Redis", "memory"),
                  ("Redis", "role")) == ["ok", "warning", "problem", "problem"]


def test_what_is_forbidden_is_unseen(pg, healthy):
    healthy.client().acl_setuser("blind", enabled=True, passwords=["+pw"], categories=["+@all"],
                                 keys=["*"], channels=["*"], commands=["-info", "-config"])
    url = healthy.url.replace("//", "//blind:pw@")
    checks, _ = doctor(url, pg.url)
    assert checks["Redis", "server"]["level"] == "unseen"
    healthy.client().execute_command("ACL", "SETUSER", "blind", "+info")
    checks, _ = doctor(url, pg.url)
    assert levels(checks, ("Redis", "disk"), ("Redis", "eviction")) == ["unseen", "ok"]
    assert "cannot see" in checks["Redis", "persistence"]["text"]


def test_what_does_not_answer(pg, healthy):
    checks, doc = doctor("redis://127.0.0.1:1/0", pg.url, code=69)
    assert checks["Redis", "reachable"]["level"] == "problem"
    assert checks["PostgreSQL", "reachable"]["level"] == "ok" and doc["verdict"] == "problem"
    checks, _ = doctor(healthy.url, "postgresql://127.0.0.1:1/x", code=69)
    assert checks["PostgreSQL", "reachable"]["level"] == "problem"
    assert checks["Redis", "reachable"]["level"] == "ok"


def test_a_database_without_migrations(pg_empty, healthy):
    checks, _ = doctor(healthy.url, pg_empty.url, code=1)
    assert "aion2ctl migrate" in checks["PostgreSQL", "migrations"]["text"]


def test_the_state_of_the_jobs(pg, healthy):
    client = healthy.client()
    client.set("celery", "no list")
    checks, _ = doctor(healthy.url, pg.url, code=1)
    assert checks["Jobs", "queue"]["level"] == "problem"
    client.delete("celery")
    client.lpush("celery", "{}")
    client.sadd("aion2:workers", "gone")
    client.lpush("aion2:dead", "{}")
    client.hset("aion2:counters", "redis_lost", 3)
    client.hset("aion2:beats", mapping={
        "old": '{"seen": 1}',
        "new": json.dumps({"seen": client.time()[0], "version": "99.0"}),
    })
    _, doc = doctor(healthy.url, pg.url, code=1)
    found = [(c["name"], c["level"]) for c in doc["checks"] if c["area"] == "Jobs"]
    assert found == [("keys", "ok"), ("queue", "ok"), ("workers", "problem"), ("workers", "warning"),
                     ("beats", "ok"), ("versions", "warning"), ("dead", "warning"), ("lost steps", "warning")]


def test_sentinels(pg):
    lab = SentinelLab(replicas=1, options=HEALTHY)
    try:
        checks, _ = doctor(lab.url, pg.url)
        assert checks["Redis", "sentinels"]["level"] == "ok"
        assert "3 of 3" in checks["Redis", "sentinels"]["text"]
        assert checks["Redis", "old masters"]["level"] == "warning"
        lab.client().config_set("min-replicas-to-write", 1)
        for dead in lab.sentinels[1:]:
            dead.kill()
        checks, _ = doctor(lab.url, pg.url)
        assert checks["Redis", "old masters"]["level"] == "ok"
        assert checks["Redis", "sentinel"]["level"] == "warning"
        wait_for(lambda: doctor(lab.url, pg.url)[0]["Redis", "sentinels"]["level"] == "problem",
                 what="the lost quorum")
    finally:
        lab.destroy()


def test_wrong_words(ctl):
    assert ctl("doctor", "all").returncode == 64
    assert ctl("doctor", "--yaml").returncode == 64
