"""Alerts: what beats tell people by themselves, over HTTP and SMTP, to real receivers."""

import email
import email.policy
import hashlib
import hmac
import http.server
import json
import signal
import threading

import pytest
from aiosmtpd.controller import Controller

from ctl_lab import json_of, redis_ctl
from harness import free_port, wait_for

SECRET = "a secret of the webhook"
BATCH = "app.worker.calculate_power_and_rank_batch"


class Receiver:
    """Takes what is posted and asked; answers with .status."""

    def __init__(self):
        self.posts, self.gets, self.status = [], [], 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, kept, body):
                kept.append((self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self):
                self.answer(receiver.posts, self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self):
                self.answer(receiver.gets, b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self):
        """[{name: status}, ...], a dict for each letter that was taken."""
        return [{a["title"]: a["color"] for a in json.loads(body)["attachments"]}
                for _, _, body in self.posts]


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.server.shutdown()
    r.server.server_close()


class Mailbox:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
def mailbox():
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    box.url = f"smtp://127.0.0.1:{controller.port}"
    yield box
    controller.stop()


@pytest.fixture
def alert_env(env, receiver):
    return {**env, "ALERT_WEBHOOK_URL": receiver.url + "/hook", "ALERT_INTERVAL": "1",
            "ALERT_WEBHOOK_SECRET": SECRET, "BATCH_INTERVAL": "86400", "ALERT_NAME": "lab"}


@pytest.fixture
def ctl(redis_server):
    return redis_ctl(redis_server)


def make_dead(redis_server, task="test.fail", at=None):
    """A dead letter as a worker writes it, with its counter."""
    r = redis_server.client()
    at = at or int(r.time()[0])
    r.lpush("aion2:dead", json.dumps({"at": at, "id": "x", "task": task, "error": "it <broke>",
                                      "retries": 3, "b64": "e30="}))
    r.hincrby("aion2:counters", "dead", 1)
    return r


def succeed(pg, seconds_ago=0):
    pg.query(f"""INSERT INTO batch_runs (task_id, owner, state, rules_version, started_at, finished_at)
                 VALUES (gen_random_uuid()::text, gen_random_uuid(), 'success', 1,
                         now() - interval '{seconds_ago} s', now() - interval '{seconds_ago} s')""")


def hurry(redis_server, seconds=100):
    """Lets letters that wait for company, or for their next try, go out now."""
    r = redis_server.client()
    while True:
        rev, doc = r.hget("aion2:alerts", "rev"), json.loads(r.hget("aion2:alerts", "doc"))
        for letter in doc.get("outbox", []):
            letter["due"] = 0
            for left in letter["left"]:
                left["next"] = left["lease"] = 0
        with r.pipeline() as p:
            p.watch("aion2:alerts")
            if p.hget("aion2:alerts", "rev") == rev:
                p.multi()
                p.hset("aion2:alerts", mapping={"rev": int(rev) + 1, "doc": json.dumps(doc)})
                try:
                    p.execute()
                    return
                except Exception:  # noqa: BLE001: somebody was faster
                    pass


def state(redis_server):
    return json.loads(redis_server.client().hget("aion2:alerts", "doc") or "{}")


def wait_for_letter(redis_server, name):
    wait_for(lambda: any(i["name"] == name for l in state(redis_server).get("outbox", [])
                         for i in l["items"]), 30, f"a letter about {name}")


def test_a_dead_letter_is_told_once_signed_and_then_resolved(pg, redis_server, spawn, alert_env,
                                                             receiver, ctl):
    make_dead(redis_server)
    spawn("aion2-beat", alert_env)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    path, headers, body = receiver.posts[0]
    assert path == "/hook" and headers["Content-Type"] == "application/json"
    t, mac = (part.split("=")[1] for part in headers["X-Aion2rank-Signature"].split(","))
    assert mac == hmac.new(SECRET.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()
    doc = json.loads(body)
    assert doc["text"] == "[lab] FIRING: Tasks failed for good"
    assert doc["attachments"][0]["color"] == "warning"
    checked = state(redis_server)["checked"]
    wait_for(lambda: state(redis_server)["checked"] > checked + 1, 30, "two more looks")
    assert len(receiver.posts) == 1 and not state(redis_server)["outbox"]
    assert json_of(ctl("alerts", "--json"), 1)["alerts"]["dead_letters"]["level"] == 1

    redis_server.client().delete("aion2:dead")
    redis_server.client().hincrby("aion2:counters", "dead_dropped", 1)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    wait_for(lambda: len(receiver.posts) == 2, 30, "that it is over")
    assert json.loads(receiver.posts[1][2])["text"] == "[lab] Resolved: Tasks failed for good"
    assert json_of(ctl("alerts", "--json"), 0)["alerts"] == {}


def test_a_failed_batch_and_an_old_ranking_come_in_one_letter(pg, redis_server, spawn, alert_env,
                                                              receiver):
    succeed(pg, seconds_ago=90000 * 3)
    make_dead(redis_server, BATCH)
    spawn("aion2-beat", alert_env)
    wait_for_letter(redis_server, "batch_failed")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    assert receiver.told() == [{"batch_failed": "danger", "ranking_old": "danger",
                                "dead_letters": "warning"}]
    texts = {a["title"]: a["text"] for a in json.loads(receiver.posts[0][2])["attachments"]}
    assert texts["batch_failed"] == "it &lt;broke&gt;"
    succeed(pg)
    wait_for_letter(redis_server, "batch_failed")
    hurry(redis_server)
    wait_for(lambda: len(receiver.posts) == 2, 30, "that it is over")
    assert receiver.told()[1] == {"batch_failed": "good", "ranking_old": "good"}


def test_a_real_batch_that_fails_for_good(pg, redis_server, spawn, env, alert_env, receiver, ctl):
    pg.query("""INSERT INTO characters (server, name, stats_payload) SELECT 'Siel', 'a' || i,
                '{"attack": 1, "damage_amp": 1, "crit_rate": 1, "crit_damage": 1, "hp": 1,
                  "attack_speed": 1, "defense": 1, "damage_reduction": 1}' FROM generate_series(1, 9) i""")
    spawn("aion2-worker", {**env, "RETRY_BASE_SECONDS": "0"})
    spawn("aion2-beat", alert_env)
    assert ctl("call", BATCH, "--wait", "60").returncode == 0
    pg.query("ALTER TABLE ranking_group_lists RENAME TO elsewhere")
    assert ctl("call", BATCH, "--wait", "60").returncode == 1
    wait_for_letter(redis_server, "batch_failed")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    assert "ranking_group_lists" in json.loads(receiver.posts[0][2])["attachments"][0]["text"]
    pg.query("ALTER TABLE elsewhere RENAME TO ranking_group_lists")
    assert ctl("call", BATCH, "--wait", "60").returncode == 0
    wait_for(lambda: "batch_failed" not in state(redis_server)["alerts"], 30, "its end")


def test_what_is_not_accounted_for(pg, redis_server, spawn, alert_env, receiver):
    r = redis_server.client()
    r.hset("aion2:counters", mapping={"taken": 5, "done": 3, "dead": 0})
    spawn("aion2-beat", alert_env)
    wait_for_letter(redis_server, "conservation")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    assert "holds: +2" in json.loads(receiver.posts[0][2])["attachments"][0]["text"]


def test_a_source_that_rests(pg, redis_server, spawn, alert_env, receiver):
    r = redis_server.client()
    r.hset("aion2:source", mapping={"rest_until_ms": (int(r.time()[0]) + 600) * 1000, "failures": 1})
    spawn("aion2-beat", alert_env)
    wait_for_letter(redis_server, "source_rests")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    text = json.loads(receiver.posts[0][2])["attachments"][0]["text"]
    assert text.startswith("1 failure in a row; it is asked again in ")
    r.hset("aion2:source", mapping={"rest_until_ms": 0, "failures": 0})
    wait_for(lambda: "source_rests" not in state(redis_server)["alerts"], 30, "its end")


def test_mail(pg, redis_server, spawn, alert_env, mailbox):
    spawn("aion2-beat", {**alert_env, "ALERT_WEBHOOK_URL": "", "ALERT_SMTP_URL": mailbox.url,
                         "ALERT_MAIL_FROM": "rank@example.org", "ALERT_NAME": "시엘",
                         "ALERT_MAIL_TO": "one@example.org, two@example.org"})
    make_dead(redis_server)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    wait_for(lambda: mailbox.mails, 30, "the mail")
    sender, to, content = mailbox.mails[0]
    assert (sender, to) == ("rank@example.org", ["one@example.org", "two@example.org"])
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["Subject"] == "[시엘] FIRING: Tasks failed for good"
    assert mail["To"] == "one@example.org, two@example.org"
    assert mail.get_content().startswith(
        "FIRING: Tasks failed for good - 1 dead letter: aion2ctl dead list (since 2")


def test_a_password_is_not_sent_without_tls(pg, redis_server, spawn, alert_env, mailbox):
    beat = spawn("aion2-beat", {**alert_env, "ALERT_WEBHOOK_URL": "", "ALERT_MAIL_FROM": "rank@example.org",
                                "ALERT_SMTP_URL": mailbox.url.replace("://", "://me:S3CRET@"),
                                "ALERT_MAIL_TO": "one@example.org"})
    make_dead(redis_server)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    beat.wait_log("event=alert.not_sent", 30)
    assert not mailbox.mails and "S3CRET" not in beat.log()


def test_a_receiver_that_is_away_gets_it_later(pg, redis_server, spawn, alert_env, receiver, ctl):
    receiver.status = 503
    make_dead(redis_server)
    spawn("aion2-beat", alert_env)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    wait_for(lambda: [l for l in state(redis_server)["outbox"] if l["left"][0]["tries"] == 1], 30,
             "a try in vain")
    assert "webhook" in ctl("alerts").stdout
    receiver.status = 204
    hurry(redis_server)
    wait_for(lambda: not state(redis_server)["outbox"], 30, "the letter to be taken")
    assert len(receiver.posts) == 2 and receiver.posts[0][2] == receiver.posts[1][2]


def test_many_beats_tell_it_once(pg, redis_server, spawn, alert_env, receiver):
    beats = [spawn("aion2-beat", alert_env) for _ in range(4)]
    make_dead(redis_server)
    wait_for_letter(redis_server, "dead_letters")
    hurry(redis_server)
    wait_for(lambda: not state(redis_server)["outbox"], 30, "the letter to be taken")
    checked = state(redis_server)["checked"]
    wait_for(lambda: state(redis_server)["checked"] > checked + 1, 30, "two more looks")
    assert len(receiver.posts) == 1
    for beat in beats:
        beat.stop()


def test_a_killed_beat_loses_no_letter(pg, redis_server, spawn, alert_env, receiver):
    beat = spawn("aion2-beat", alert_env)
    make_dead(redis_server)
    wait_for_letter(redis_server, "dead_letters")
    beat.kill()
    assert not receiver.posts
    spawn("aion2-beat", alert_env)
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter of the one before")


def test_a_ping_for_each_good_batch(pg, redis_server, spawn, alert_env, receiver):
    succeed(pg)
    spawn("aion2-beat", {**alert_env, "ALERT_PING_URL": receiver.url + "/ping/7",
                         "ALERT_WEBHOOK_URL": ""})
    wait_for(lambda: "pinged" in state(redis_server), 30, "the first look")
    for n in (1, 2):
        succeed(pg)
        wait_for(lambda: len(receiver.gets) == n, 30, f"ping {n}")
    assert receiver.gets[0][0] == "/ping/7"
    assert not receiver.posts


def test_a_beat_that_lost_postgresql_pings_for_nothing(pg, redis_server, spawn, alert_env,
                                                       receiver):
    """It remembers an older batch than the others know, which is not a new one."""
    env = {**alert_env, "ALERT_PING_URL": receiver.url + "/ping", "ALERT_RANKING_AGE": "3600"}
    pg.query("DROP ROLE IF EXISTS beat_two; CREATE ROLE beat_two LOGIN SUPERUSER")
    succeed(pg, seconds_ago=7000)
    beat = spawn("aion2-beat", {**env, "DATABASE_URL": pg.url.replace("user=postgres", "user=beat_two")})
    wait_for(lambda: "ranking_old" in state(redis_server).get("alerts", {}), 30, "the first look")
    pg.query("ALTER ROLE beat_two NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
             " WHERE usename = 'beat_two'")
    beat.signal(signal.SIGSTOP)
    succeed(pg)
    other = spawn("aion2-beat", env)
    wait_for(lambda: receiver.gets and "ranking_old" not in state(redis_server)["alerts"], 30, "the ping")
    other.stop()
    beat.signal(signal.SIGCONT)
    checked = state(redis_server)["checked"]
    wait_for(lambda: state(redis_server)["checked"] > checked + 3, 30, "more looks")
    hurry(redis_server)
    assert len(receiver.gets) == 1 and "ranking_old" not in state(redis_server)["alerts"]


def test_a_beat_that_begins_without_postgresql_knows_how_old_the_ranking_is(
        pg, redis_server, spawn, alert_env, receiver):
    succeed(pg)
    env = {**alert_env, "ALERT_RANKING_AGE": "5"}
    beat = spawn("aion2-beat", env)
    wait_for(lambda: "pinged" in state(redis_server), 30, "the first look")
    beat.kill()
    pg.stop("immediate")
    spawn("aion2-beat", env)
    wait_for(lambda: "ranking_old" in state(redis_server)["alerts"], 30, "the alert")


def test_an_old_ranking_is_told_although_redis_is_away(pg, redis_server, spawn, alert_env,
                                                       receiver):
    """What is known goes on without Redis; when it is back, it is not told once more."""
    succeed(pg)
    spawn("aion2-beat", alert_env)
    wait_for(lambda: "checked" in state(redis_server), 30, "the first look")
    redis_server.stop()
    pg.query("UPDATE batch_runs SET finished_at = finished_at - interval '30 days'")
    wait_for(lambda: receiver.posts, 60, "the letter")
    assert receiver.told() == [{"ranking_old": "danger"}]
    redis_server.start()
    wait_for(lambda: state(redis_server).get("alerts", {}).get("ranking_old"), 30, "Redis to know")
    checked = state(redis_server)["checked"]
    wait_for(lambda: state(redis_server)["checked"] > checked + 1, 30, "two more looks")
    assert len(receiver.posts) == 1


def test_a_postgresql_that_is_away_makes_the_ranking_old(pg, redis_server, spawn, alert_env,
                                                         receiver):
    succeed(pg)
    spawn("aion2-beat", {**alert_env, "ALERT_RANKING_AGE": "5"})
    wait_for(lambda: "checked" in state(redis_server), 30, "the first look")
    pg.stop("immediate")
    wait_for_letter(redis_server, "ranking_old")
    hurry(redis_server)
    wait_for(lambda: receiver.posts, 30, "the letter")
    assert "PostgreSQL: " in json.loads(receiver.posts[0][2])["attachments"][0]["text"]


def test_the_test_letter(pg, redis_server, spawn, alert_env, receiver, ctl):
    assert "No beat looks after alerts" in ctl("alerts").stdout
    assert ctl("alerts", "test", "--wait", "1").returncode == 2
    redis_server.client().delete("aion2:alerts")
    spawn("aion2-beat", alert_env)
    out = ctl("alerts", "test", "--wait", "30s")
    assert (out.returncode, out.stdout) == (0, "delivered\n")
    assert json.loads(receiver.posts[0][2])["text"] == "[lab] Test: alerts arrive"


def test_without_a_channel_nothing_is_asked(pg, redis_server, spawn, env):
    spawn("aion2-beat", {**env, "BATCH_INTERVAL": "86400"})
    wait_for(lambda: redis_server.client().hlen("aion2:beats"), 30, "the beat")
    assert not redis_server.client().exists("aion2:alerts")
    assert pg.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aion2-beat'") == 0


@pytest.mark.parametrize("name,value", [
    ("ALERT_WEBHOOK_URL", "ftp://x"), ("ALERT_SMTP_URL", "http://x"), ("ALERT_NAME", "a\nb"),
    ("ALERT_PING_URL", "file:///etc/passwd")])
def test_a_wrong_setting_is_named(redis_server, spawn, env, name, value):
    beat = spawn("aion2-beat", {**env, name: value})
    assert beat.wait(10) == 64 and name in beat.log()


def test_secrets_are_not_printed(redis_server, spawn, env, receiver):
    beat = spawn("aion2-beat", {**env, "ALERT_WEBHOOK_URL": receiver.url + "/T0KEN",
                                "ALERT_WEBHOOK_SECRET": "S3CRET", "ALERT_NAME": "x",
                                "ALERT_PING_URL": receiver.url + "/P1NG"}, args=["--check-config"])
    assert beat.wait(10) == 0
    assert not [secret for secret in ("T0KEN", "S3CRET", "P1NG") if secret in beat.log()]
