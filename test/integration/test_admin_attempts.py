"""What people try against the admin side. Each attempt is refused, changes nothing, and stands in the
log of changes with who tried it and from where; no token is ever in an answer or a log."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
from admin_lab import ENV_TOKEN, Admin
from board import SIX, add_characters, publish
from ctl_lab import json_of
from harness import wait_for


@pytest.fixture
def admin(spawn, pg, redis_server, tmp_path):
    return Admin(spawn, pg, redis_server.url, tmp_path, LOG_LEVEL="debug")


def make_token(ctl, name, scope, *more):
    return json_of(ctl("token", "create", name, "--scope", scope, "--json", *more))


def known(admin, token):
    wait_for(lambda: admin.get("/admin/whoami", token=token).status == 200, 20, "the token being known")


def unchanged(admin, redis_server):
    assert redis_server.client().llen("celery") == 0
    assert admin.pg.value("SELECT count(*) FROM batch_requests") == 0


# --------------------------------------------------------------------------------------- tokens


def test_no_token_and_wrong_ones(admin, redis_server):
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "},
                    {"Authorization": "Bearer " + ENV_TOKEN[:-1]}, {"Authorization": "Bearer " + ENV_TOKEN + "x"},
                    {"Authorization": "Bearer " + ENV_TOKEN.upper()}, {"Authorization": "Basic " + ENV_TOKEN},
                    {"Authorization": ENV_TOKEN}, {"Authorization": "Bearer  " + ENV_TOKEN},
                    {"Cookie": f"token={ENV_TOKEN}"}, {"X-Token": ENV_TOKEN}):
        a = admin.post("/admin/batches", {}, token="", headers=headers)
        a.problem(401)
        assert a.headers["www-authenticate"] == 'Bearer realm="aion2rank admin"'
    admin.post(f"/admin/batches?token={ENV_TOKEN}", {}, token="").problem(401)
    rows = admin.wait_audit("status = 401", 13)
    assert {(r[0], r[1], r[2]) for r in rows} == {("-", "batch.start", "POST /admin/batches")}
    assert all(r[5].startswith("127.0.0.1:") for r in rows)
    unchanged(admin, redis_server)


def test_wrong_scope(admin, ctl, redis_server):
    token = make_token(ctl, "looker", "read")
    known(admin, token["token"])
    assert "operate" in admin.post("/admin/batches", {}, token=token["token"]).problem(403)
    [row] = admin.wait_audit("status = 403")
    assert row[:3] == (f"token:looker#{token['id']}", "batch.start", "POST /admin/batches")
    admin.get("/admin/tokens", token=token["token"]).problem(403)
    unchanged(admin, redis_server)


def test_expired_and_revoked_tokens(admin, ctl, pg):
    short, lasting = make_token(ctl, "short", "admin", "--expires", "1h"), make_token(ctl, "lasting", "operate")
    known(admin, short["token"])
    known(admin, lasting["token"])
    pg.query("UPDATE admin_tokens SET expires_at = now() - interval '1 second' WHERE id = %s RETURNING id",
             (short["id"],))
    wait_for(lambda: admin.get("/admin/whoami", token=short["token"]).status == 401, 20, "the expiry")
    assert "expired" in admin.get("/admin/whoami", token=short["token"]).problem(401)
    # Revoked by the admin side, and seen by it without a restart.
    assert admin.post(f"/admin/tokens/{lasting['id']}/revoke", body=b"").status == 200
    wait_for(lambda: admin.get("/admin/whoami", token=lasting["token"]).status == 401, 20, "the revocation")
    admin.post(f"/admin/tokens/{lasting['id']}/revoke", body=b"").problem(404)
    rows = admin.audit("action LIKE 'token.%'")
    assert [(r[1], r[3]) for r in rows] == [("token.create", 200), ("token.create", 200),
                                            ("token.revoke", 200), ("token.revoke", 404)]
    states = {t["name"]: t["state"] for t in admin.json("/admin/tokens")["tokens"]}
    assert states == {"short": "expired", "lasting": "revoked"}
    assert admin.wait_audit(f"principal = 'token:short#{short['id']}' AND status = 401")


def test_rotation_without_a_restart_and_the_port_that_closes(spawn, pg, redis_server, tmp_path, ctl):
    a = Admin(spawn, pg, redis_server.url, tmp_path, token="")
    assert not harness.port_open(a.port)  # no token: no port, only the socket
    assert a.json("/admin/whoami", local=True)["scope"] == "admin"
    old = make_token(ctl, "robot", "operate")
    a.wait_port(True)
    known(a, old["token"])
    new = make_token(ctl, "robot", "operate")
    known(a, new["token"])
    assert a.get("/admin/whoami", token=old["token"]).status == 200
    assert ctl("token", "revoke", str(old["id"])).returncode == 0
    wait_for(lambda: a.get("/admin/whoami", token=old["token"]).status == 401, 20, "the old one's end")
    assert a.get("/admin/whoami", token=new["token"]).status == 200
    assert ctl("token", "revoke", str(new["id"])).returncode == 0
    a.wait_port(False)
    assert a.json("/admin/whoami", local=True)["address"] == "unix"


def test_only_hashes_are_stored(admin, ctl, pg):
    token = make_token(ctl, "robot", "operate")
    assert re.fullmatch(r"a2_[A-Za-z0-9_-]{43}", token["token"])
    [(stored,)] = pg.query("SELECT token_hash FROM admin_tokens")
    assert bytes(stored) == hashlib.sha256(token["token"].encode()).digest()
    known(admin, token["token"])
    wait_for(lambda: pg.value("SELECT last_used_at FROM admin_tokens"), 20, "when it was used")


def test_hashes_are_compared_in_constant_time():
    symbols = subprocess.run(["nm", "-D", "--undefined-only", str(harness.bin_dir() / "aion2-api")],
                             capture_output=True, text=True, check=True).stdout
    assert "CRYPTO_memcmp" in symbols


def test_aion2ctl_token(ctl):
    done = ctl("token", "create", "grafana", "--scope", "read", check=True)
    assert re.fullmatch(r"a2_[A-Za-z0-9_-]{43}\n", done.stdout)
    listed = ctl("token", check=True).stdout
    assert "grafana" in listed and done.stdout.strip() not in listed
    assert done.stdout.strip() not in ctl("changes", "--json", check=True).stdout
    assert ctl("token", "revoke", "1").returncode == 0
    assert ctl("token", "revoke", "1").returncode == 1
    assert "token.revoke" in ctl("changes", check=True).stdout
    assert "500" in ctl("changes", "--refused", check=True).stdout
    for words in (["create"], ["create", "x"], ["create", "x", "--scope", "all"], ["revoke"], ["revoke", "x"],
                  ["create", "", "--scope", "read"], ["create", "a\nb", "--scope", "read"]):
        assert ctl("token", *words).returncode == 64, words


def test_tokens_are_never_in_logs_or_answers(admin, ctl, pg):
    token = make_token(ctl, "robot", "operate")["token"]
    known(admin, token)
    secrets = [token, ENV_TOKEN]
    said = []
    for secret in secrets:
        for path in (f"/admin/{secret}", f"/admin/whoami?token={secret}", f"/admin/batches/{secret}",
                     f"/admin/{'x' * 160}/{secret}"):
            for given in (secret, "", secret + "x"):
                said.append(admin.get(path, token=given))
        said.append(admin.post("/admin/batches", {secret: 1}, token=secret))
        said.append(admin.post("/admin/batches", {}, token=secret, Idempotency_Key=secret + " "))
        said.append(admin.raw(f"GET /{secret} HTTP/1.1\r\nX: {secret}\r\nHost: x\r\nConnection: close\r\n\r\n"
                              .encode()))
        said.append(admin.post("/admin/batches", {}, token=secret, Idempotency_Key="k" + secret))
        said[-1].problem(400, "Idempotency-Key")
    said += [admin.get(p) for p in ("/admin/tokens", "/admin/audit?limit=500", "/admin/openapi.json", "/admin/whoami")]
    admin.wait_audit("status = 401", 6)
    stored = json.dumps([pg.query(f"SELECT t::text FROM {t} AS t")
                         for t in ("admin_audit", "admin_idempotency", "admin_tokens")])
    assert token not in stored and token not in admin.program.log() and ENV_TOKEN not in admin.program.log()
    assert ENV_TOKEN[:20] not in stored and ENV_TOKEN[:20] not in admin.program.log()  # cut off is half told
    told = b"".join(a if isinstance(a, bytes) else a.body for a in said)
    assert token.encode() not in told and ENV_TOKEN.encode() not in told


# ------------------------------------------------------------------------------ other pages, keys


def test_a_page_of_somebody_else(admin, redis_server):
    host = f"127.0.0.1:{admin.port}"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://{host}.evil.example"},
                    {"Origin": f"http://{host}/"}, {"Origin": f"ftp://{host}"}, {"Origin": ""},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Origin": f"http://{host}", "Sec-Fetch-Site": "cross-site"}):
        for local in (False, True):
            given = {**headers}
            a = admin.post("/admin/batches", {}, headers=given, local=local)
            a.problem(403)
            assert not [h for h in a.headers if h.startswith("access-control")]
    # What a form can send without asking first.
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        admin.post("/admin/batches", b"{}", headers={"Content-Type": kind}).problem(415)
    a = admin.ask("/admin/batches", "OPTIONS", headers={"Origin": "https://evil.example",
                                                       "Access-Control-Request-Method": "POST"})
    a.problem(403)
    assert not [h for h in a.headers if h.startswith("access-control")]
    admin.wait_audit("status = 403 AND detail LIKE 'Pages of other origins%'", 19)
    admin.wait_audit("status = 415", 3)
    unchanged(admin, redis_server)
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert admin.post("/admin/batches", {}, headers=own).status == 202


def test_a_domain_that_leads_to_the_forwarded_socket(admin, redis_server):
    """Its owner points it at 127.0.0.1: to the browser his page and ours are then of one origin."""
    for host in ("evil.example:8001", "evil.example", "127.0.0.1.evil.example", "1.2.3.4.5"):
        admin.get("/admin/overview", local=True, headers={"Host": host}).problem(403)
        admin.post("/admin/batches", {}, local=True, headers={"Host": host, "Origin": f"http://{host}"}).problem(403)
        # With a token anybody may ask by any name.
        assert admin.get("/admin/whoami", local=True, token=ENV_TOKEN, headers={"Host": host}).status == 200
    admin.wait_audit("status = 403 AND detail LIKE 'Without a token the socket%'", 8)
    unchanged(admin, redis_server)
    for host in ("localhost:8001", "127.0.0.1:8001", "[::1]:8001", "admin"):
        assert admin.get("/admin/whoami", local=True, headers={"Host": host}).status == 200


def test_a_key_that_was_used_for_something_else(admin, redis_server):
    assert admin.post("/admin/batches", {"reason": "a"}, Idempotency_Key="k").status == 202
    for path, body in (("/admin/batches", {"reason": "b"}), ("/admin/batches", {}),
                       ("/admin/batches?", {"reason": "a"}), ("/admin/tasks/revoke", {"ids": ["x"]})):
        admin.post(path, body, Idempotency_Key="k").problem(422)
    assert len(admin.audit("status = 422 AND idempotency_key = 'k'")) == 4
    assert redis_server.client().llen("celery") == 1
    # Another one's key is another key.
    assert admin.post("/admin/batches", {"reason": "b"}, Idempotency_Key="k", local=True).status == 202
    for key in ("", " ", "a b", "x" * 129, "é".encode().decode("latin-1"), "\x7f"):
        admin.post("/admin/batches", {}, headers={"Idempotency-Key": key}).problem(400, "Idempotency-Key")


def test_equal_requests_at_the_same_time_do_it_once(admin, redis_server):
    answers = []

    def ask():
        answers.append(admin.post("/admin/batches", {"reason": "a"}, Idempotency_Key="same"))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {a.status for a in answers} <= {202, 409} and 202 in {a.status for a in answers}
    assert len({a.json["task_id"] for a in answers if a.status == 202}) == 1
    assert redis_server.client().llen("celery") == 1
    assert len(admin.audit("action = 'batch.start' AND status = 202")) == 1


def test_a_key_whose_service_died_is_taken_over_once(admin, pg, redis_server):
    """The row is that of a service that was killed between doing and noting, some minutes ago."""
    body, answers = {"reason": "a"}, []
    assert admin.post("/admin/batches", body, Idempotency_Key="dead").status == 202
    pg.query("UPDATE admin_idempotency SET status = NULL, answer = NULL,"
             " created_at = created_at - interval '6 minutes'")
    threads = [threading.Thread(target=lambda: answers.append(admin.post("/admin/batches", body, Idempotency_Key="dead")))
               for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {a.status for a in answers} <= {202, 409}
    assert redis_server.client().llen("celery") == 2
    assert pg.value("SELECT created_at > clock_timestamp() - interval '5 minutes' FROM admin_idempotency")


def test_a_key_of_yesterday_asks_for_a_batch_of_today(admin, pg):
    first = admin.post("/admin/batches", {}, Idempotency_Key="nightly").json["task_id"]
    pg.query("UPDATE admin_idempotency SET created_at = created_at - interval '25 hours'")
    pg.query("UPDATE batch_requests SET requested_at = requested_at - interval '25 hours'")
    assert admin.post("/admin/batches", {}, Idempotency_Key="nightly").json["task_id"] != first


def test_what_failed_may_be_tried_again_with_its_key(admin, redis_server):
    redis_server.kill()
    admin.post("/admin/batches", {}, Idempotency_Key="again").problem(503)
    redis_server.start()
    wait_for(lambda: admin.post("/admin/batches", {}, Idempotency_Key="again").status == 202, 20, "Redis' return")
    assert redis_server.client().llen("celery") == 1


# ------------------------------------------------------------------------------------- the wire


PATHS = ["/admin/../admin/whoami", "/admin/./whoami", "/admin//whoami", "//admin/whoami", "/admin/whoami/..",
         "/admin/%77hoami", "/admin%2fwhoami", "/%61dmin/whoami", "/admin/whoami%00", "/admin/whoami%2f",
         "/admin/whoami;x", "/admin/whoami#x", "/ADMIN/whoami", "/admin/batches/../whoami",
         "/admin/batches/%2e%2e/../whoami", "/admin/whoami/", "\\admin\\whoami", "/admin\\whoami"]


@pytest.mark.parametrize("path", PATHS)
def test_path_tricks(admin, path):
    head = f"Host: x\r\nConnection: close\r\n"
    for token, status in (("", b" 401 "), (ENV_TOKEN, b" 404 ")):
        auth = f"Authorization: Bearer {token}\r\n" if token else ""
        answer = admin.raw(f"GET {path} HTTP/1.1\r\n{head}{auth}\r\n".encode())
        assert status in answer[:20] or b" 400 " in answer[:20], (path, answer[:300])
        assert b"principal" not in answer
    admin.wait_audit("status IN (400, 401, 404)", 2)


@pytest.mark.parametrize("request_line", [
    b"GET http://other/admin/whoami HTTP/1.1", b"GET //x/admin/whoami HTTP/1.1",
    b"GET /admin/whoami\x00 HTTP/1.1", b"GET /admin/who\x00ami HTTP/1.1", b"GET /admin/whoami HTTP/2.0",
    b"GET /admin/whoami", b"FOO /admin/whoami HTTP/1.1", b"GET  /admin/whoami HTTP/1.1", b"\x16\x03\x01\x02\x00"])
def test_requests_that_are_none(admin, request_line):
    answer = admin.raw(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer == b"" or int(answer.split(b" ")[1]) >= 400, answer
    assert b"principal" not in answer
    admin.wait_audit("status >= 400")


def test_oversized_input(admin):
    good = f"Authorization: Bearer {ENV_TOKEN}\r\nHost: x\r\nConnection: close\r\n"
    floods = {
        431: [f"GET /admin/whoami HTTP/1.1\r\n{good}X: {'a' * 20000}\r\n\r\n",
              f"GET /admin/whoami HTTP/1.1\r\n{good}{'X: a' * 1 + chr(13) + chr(10)}" + "X: b\r\n" * 6000 + "\r\n",
              f"GET /admin/whoami?{'a' * 20000} HTTP/1.1\r\n{good}\r\n"],
        413: [f"POST /admin/batches HTTP/1.1\r\n{good}Content-Type: application/json\r\n"
              f"Content-Length: 70000\r\n\r\n{'{' * 70000}",
              f"POST /admin/batches HTTP/1.1\r\n{good}Content-Type: application/json\r\n"
              "Content-Length: 99999999999\r\n\r\n{}"],
    }
    for status, requests in floods.items():
        for i, text in enumerate(requests):
            answer = admin.raw(text.encode())
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (status, i, answer[:200])
            assert ENV_TOKEN.encode() not in answer
    for i, body in enumerate((b"[" * 60000, b'{"reason": "' + b"a" * 60000 + b'"}', b'{"a":' * 10000,
                              b"{" + b'"reason":"a",' * 4000 + b'"reason":"a"}')):
        admin.post("/admin/batches", body, headers={"Content-Type": "application/json"}).problem(
            400, "reason" if i in (1, 3) else None)
    admin.post("/admin/batches", {}, Transfer_Encoding="chunked", headers={"Content-Length": "2"})
    assert len(admin.wait_audit("status IN (413, 431)", 5)) == 5
    assert all(r[0] in ("-", "env") for r in admin.audit("status IN (413, 431)"))
    assert admin.get("/admin/whoami").status == 200


def test_a_body_where_none_belongs(admin):
    a = admin.raw(f"GET /admin/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ENV_TOKEN}\r\n"
                  "Content-Length: 5\r\nConnection: close\r\n\r\nhello".encode())
    assert a.startswith(b"HTTP/1.1 400 ") and a.count(b"HTTP/1.1") == 1
    admin.post("/admin/schedules/batch/resume", b"{}", headers={"Content-Type": "application/json"}).problem(400)
    admin.wait_audit("status = 400", 2)


def test_the_log_of_changes_cannot_be_flooded(admin):
    conn_error = 0
    for _ in range(6):
        with socket.create_connection(("127.0.0.1", admin.port), 10) as s:
            for _ in range(100):
                s.sendall(b"GET /admin/whoami HTTP/1.1\r\nHost: x\r\n\r\n")
                if not s.recv(65536):
                    conn_error += 1
                    break
    admin.wait_audit("status = 401", 150)
    time.sleep(0.1)
    noted = len(admin.audit("status = 401"))
    assert 150 <= noted < 400 and conn_error == 0

    def told():
        admin.get("/admin/whoami", token="")
        return admin.audit("detail LIKE '%were not noted)'")

    wait_for(told, 20, "a word of those left out")


def test_many_idle_connections_leave_the_socket_and_players_alone(admin):
    idle = [socket.create_connection(("127.0.0.1", admin.port), 10) for _ in range(90)]
    try:
        assert admin.json("/admin/whoami", local=True)["scope"] == "admin"
        assert admin.api.get("/health").status in (200, 503)
    finally:
        for s in idle:
            s.close()
    wait_for(lambda: admin.get("/admin/whoami").status == 200, 20, "room again")


# ------------------------------------------------------------------------------ parts that are away


def test_without_postgresql_readings_of_redis_go_on_and_nothing_is_changed(admin, ctl, pg_cluster, redis_server):
    token = make_token(ctl, "robot", "operate")["token"]
    known(admin, token)
    pg_cluster.stop("immediate")
    try:
        assert admin.get("/admin/whoami", token=token).status == 200  # the last known tokens hold
        admin.get("/admin/whoami", token="a2_" + "x" * 43).problem(401)
        a = admin.post("/admin/batches", {}, token=token)
        assert "nothing is changed" in a.problem(503) and a.headers["retry-after"]
        admin.get("/admin/batches", token=token).problem(503)
        assert admin.get("/admin/queues", token=token).status == 200
        assert redis_server.client().llen("celery") == 0
    finally:
        pg_cluster.start()
    wait_for(lambda: admin.post("/admin/batches", {}, token=token).status == 202, 30, "PostgreSQL's return")
    # What was refused meanwhile is written down late.
    assert admin.wait_audit("status = 401")


def test_without_redis_postgresql_is_shown(admin, pg, redis_server):
    add_characters(pg, SIX)
    run = publish(pg)
    redis_server.kill()
    assert admin.get("/admin/batches").status == 200
    assert admin.get(f"/admin/batches/{run}").status == 200
    assert admin.get("/admin/servers").status == 200
    admin.get("/admin/queues").problem(503)
    admin.post("/admin/batches").problem(503)
    admin.post(f"/admin/batches/{run}/cancel", body=b"").problem(409)  # PostgreSQL knows that it has ended
    redis_server.start()
    wait_for(lambda: admin.get("/admin/queues").status == 200, 20, "Redis' return")


def test_a_slow_admin_side_does_not_slow_players(admin, pg):
    add_characters(pg, SIX)
    admin.api.wait_run(publish(pg))
    conn = pg.connect(autocommit=False)
    conn.cursor().execute("LOCK TABLE batch_runs IN ACCESS EXCLUSIVE MODE")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(admin.get("/admin/batches").status))
               for _ in range(10)]
    try:
        for t in threads:
            t.start()
        wait_for(lambda: pg.value("SELECT count(*) FROM pg_locks WHERE NOT granted") >= 2, 20, "waiting jobs")
        for _ in range(50):
            assert admin.api.get("/api/ranking/top").status == 200
        admin.get("/admin/whoami", token="").problem(401)  # what needs no thread of jobs is answered
    finally:
        conn.close()
        for t in threads:
            t.join()
    assert set(answers) == {200}


def test_stops_while_it_is_asked(admin, pg):
    conn = pg.connect(autocommit=False)
    conn.cursor().execute("LOCK TABLE batch_runs IN ACCESS EXCLUSIVE MODE")
    answers = []
    t = threading.Thread(target=lambda: answers.append(admin.get("/admin/batches").status))
    t.start()
    wait_for(lambda: pg.value("SELECT count(*) FROM pg_locks WHERE NOT granted") >= 1, 20, "the waiting job")
    admin.program.signal(signal.SIGTERM)
    wait_for(lambda: not harness.port_open(admin.port), 20, "the closed port")
    conn.close()
    t.join()
    assert answers == [200]
    assert admin.program.wait(20) == 0


def test_a_revoked_token_ends_although_the_log_cannot_be_written(admin, ctl, pg):
    token = make_token(ctl, "robot", "read")["token"]
    known(admin, token)
    conn = pg.connect(autocommit=False)
    conn.cursor().execute("LOCK TABLE admin_audit IN ACCESS EXCLUSIVE MODE")
    try:
        admin.get("/admin/whoami", token="wrong").problem(401)
        pg.query("UPDATE admin_tokens SET revoked_at = now()")

        def is_refused():
            admin.get("/admin/whoami", token="wrong").problem(401)  # there is always one to be written
            return admin.get("/admin/whoami", token=token).status == 401

        wait_for(is_refused, 20, "the end of the token")
    finally:
        conn.close()


def test_stops_although_postgresql_hangs(admin, pg):
    """Its processes are there, and say nothing any more: no time-out of the server's helps."""
    assert admin.get("/admin/batches").status == 200
    pids = [r[0] for r in pg.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'aion2-api admin'")]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(admin.get("/admin/batches").status)) for _ in range(5)]
    try:
        for t in threads:
            t.start()
        wait_for(lambda: admin.get("/admin/whoami").status == 200, 20, "the door")
        admin.program.signal(signal.SIGTERM)
        assert admin.program.wait(40) == 0
        for t in threads:
            t.join()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert set(answers) <= {200, 503}


# --------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("settings", [{"ADMIN_TOKEN": "short"}, {"ADMIN_TOKEN": "x" * 40 + " y"},
                                      {"ADMIN_LISTEN": "nowhere"}, {"ADMIN_LISTEN": "127.0.0.1"},
                                      {"ADMIN_SOCKET": "relative"}, {"ADMIN_SOCKET": "/" + "x" * 120}])
def test_wrong_settings_are_refused_at_the_start(settings):
    done = harness.run_program("aion2-api", "--check-config", env=settings)
    [name] = settings
    assert done.returncode == 64 and name in done.stderr


def test_the_token_is_not_in_check_config():
    done = harness.run_program("aion2-api", "--check-config", env={"ADMIN_TOKEN": ENV_TOKEN})
    assert done.returncode == 0 and ENV_TOKEN not in done.stdout


def test_two_services_and_one_socket(admin, spawn, pg, redis_server, tmp_path):
    second = spawn("aion2-api", env={**admin.api.env, "API_LISTEN": f"127.0.0.1:{harness.free_port()}"})
    second.wait_log("event=admin.not_open")
    assert admin.json("/admin/whoami", local=True)["address"] == "unix"
    admin.program.kill()
    wait_for(lambda: admin.ask("/admin/whoami", local=True).status == 200, 20, "the second one's socket")


def test_a_file_that_is_no_socket_is_left_alone(spawn, pg, redis_server, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("kept")
    api = spawn("aion2-api", env={"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url,
                                  "API_LISTEN": f"127.0.0.1:{harness.free_port()}",
                                  "ADMIN_LISTEN": f"127.0.0.1:{harness.free_port()}",
                                  "ADMIN_SOCKET": str(kept)})
    api.wait_log("event=admin.not_open")
    assert kept.read_text() == "kept"
