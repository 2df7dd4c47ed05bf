"""A Redis user with only the rights that operations.md lists can do everything."""

import json
import re
from pathlib import Path

import pytest

import harness
import source_site
from board import Api
from harness import wait_for
from jobs import BATCH, Jobs, celery_client, slots_of, worker_env

client = pytest.fixture(celery_client)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
# Beside what a command is allowed to lack: CONFIG GET is for the doctor, which does without.
OPTIONAL = {"config|get"}


def rules():
    """The rules after "ACL SETUSER aion2" in the documentation, without the password."""
    text = re.search(r"ACL SETUSER aion2 (.+?)\n\n", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return [w for w in text.group(1).replace("\\\n", " ").split() if not w.startswith(">")]


@pytest.fixture
def env(pg, redis_server):
    redis_server.client().execute_command("ACL", "SETUSER", "aion2", *rules(), ">pw")
    url = redis_server.url.replace("//", "//aion2:pw@")
    return worker_env(redis_server, pg.url, REDIS_URL=url, BATCH_INTERVAL="1")


@pytest.fixture
def jobs(redis_server):
    return Jobs(redis_server)


def denied(jobs):
    """What Redis refused that user."""
    log = jobs.redis.execute_command("ACL", "LOG", 128)
    entries = [dict(zip(e[::2], e[1::2])) for e in log]
    return {(e["reason"], e["object"]) for e in entries} - {("command", o) for o in OPTIONAL}


COMMANDS = """
status
doctor
audit
result DEAD
dead list
dead show DEAD
dead retry DEAD
quarantine list
queue
queue show
queue purge celery --yes
inspect ping
inspect stats
inspect active
schedule list
schedule set nightly --task test.noop --every 3600
schedule pause batch --reason holiday
schedule resume batch
schedule next
schedule run batch
schedule remove nightly
why 12:10
events --for 1s
""".strip().splitlines()


def ctl(env, *args, codes=(0, 1)):
    done = harness.run_program("aion2ctl", *args, env=env)
    assert done.returncode in codes, (args, done.stdout, done.stderr)
    return done


def test_rights_of_worker_and_beat(spawn, env, jobs, client):
    w = spawn("aion2-worker", env=env)
    other = spawn("aion2-worker", env=env)
    b = spawn("aion2-beat", env=env)
    w.wait_log("worker.registered")
    other.wait_log("worker.registered")
    wait_for(lambda: slots_of(b) > 2, what="some slots")
    assert jobs.ended(jobs.push("test.add", 1))["result"] == 1
    assert jobs.ended(jobs.push("test.add", 2, countdown=0.5))["result"] == 2
    assert jobs.ended(jobs.push("test.fail", "OperationalError", "no", kwargs={
        "class": "retryable"}))["status"] == "FAILURE"
    jobs.push(raw="not json")
    wait_for(jobs.quarantine, what="the quarantine")
    assert client.send_task("test.add", args=[4]).get(timeout=15) == 4
    assert client.control.ping(timeout=2)
    assert client.send_task(BATCH).get(timeout=20)["status"] in ("success", "no_data", "skipped")
    sleeping = jobs.push("test.sleep", 2)
    wait_for(lambda: sleeping in jobs.running(), what="the task running")
    w.kill()
    assert jobs.ended(sleeping, 40)["status"] == "SUCCESS"
    assert harness.run_program("aion2-beat", "--healthcheck", env=env).returncode == 0
    assert harness.run_program("aion2-worker", "--healthcheck", env=env).returncode == 0
    assert other.stop() == 0 and b.stop() == 0
    assert denied(jobs) == set()


def test_rights_of_the_api(spawn, env, jobs, pg):
    site = source_site.SourceSite("kr")
    try:
        api = Api(spawn, pg.url, **site.env(REDIS_URL=env["REDIS_URL"]))
        api.program.wait_log("event=search.redis state=up")
        person = next(iter(site.people.values()))
        body = json.dumps({"server": person.profile["serverName"], "name": person.name})
        for status in ("success", "cached"):
            a = api.ask("/api/search", method="POST", body=body.encode(), headers={"Content-Type": "application/json"})
            assert a.json["fetch_status"] == status
        assert jobs.redis.keys("aion2:searches:*") and jobs.redis.llen("celery\x06\x163") == 1
        assert denied(jobs) == set()
    finally:
        site.close()


def test_rights_of_ctl(spawn, env, jobs):
    spawn("aion2-worker", env=env).wait_log("worker.registered")
    assert ctl(env, "call", "test.add", "--args", "[3]", "--wait", "20").returncode == 0
    ctl(env, "call", "test.fail", "--args", '["ValueError", "x"]', "--wait", "20")
    jobs.push(raw="not json")
    wait_for(jobs.quarantine, what="the quarantine")
    dead, aside = jobs.dead()[0]["id"], jobs.quarantine()
    assert dead and aside
    for words in COMMANDS:
        ctl(env, *words.replace("DEAD", dead).split())
    late = jobs.push("test.add", 1, countdown=600)
    wait_for(lambda: jobs.redis.zcard("aion2:delayed") == 1, what="the delayed message")
    ctl(env, "revoke", late)
    assert jobs.ended(late)["status"] == "REVOKED"
    assert denied(jobs) == set()
    ctl(env, "call", "test.add", "--queue", "another", codes=(1,))
    assert ("key", "another") in denied(jobs)
