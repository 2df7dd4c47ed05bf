"""/metrics and the probes of the running programs."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from harness import free_port, run_program, wait_for
from observe import PROGRAMS, Observed, families, fetch, samples


@pytest.fixture
def observed(spawn, pg, redis_server, tmp_path):
    return Observed(spawn, pg, redis_server, tmp_path)


# ---------------------------------------------------------------------------------- the formats


@pytest.mark.parametrize("program", PROGRAMS)
def test_promtool_finds_nothing_to_say(observed, program):
    observed.run("one", "test.add", args=[1, 2])
    text = observed.get(program, "/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr


def test_openmetrics_for_who_asks_for_it(observed):
    for program in PROGRAMS:
        text = fetch(observed.address[program], "/metrics",
                     accept="application/openmetrics-text;version=1.0.0")[1]
        assert text.endswith("# EOF\n")
        counters = [n for n, kind in families(text).items() if kind == "counter"]
        assert counters and not [n for n in counters if n.endswith("_total")]


# -------------------------------------------------------------------------------- what is counted


def test_tasks_are_counted_by_their_end(observed):
    observed.run("good", "test.add", args=[1, 2])
    observed.run("bad", "test.fail", status="FAILURE", kwargs={"class": "permanent"})
    observed.run("unknown", "nobody.knows", status="FAILURE")
    figures = observed.figures("worker")
    assert figures['aion2_tasks_total{task="test.add",outcome="succeeded"}'] == 1
    assert figures['aion2_tasks_total{task="test.fail",outcome="failed"}'] == 1
    assert figures['aion2_tasks_total{task="other",outcome="failed"}'] == 1
    for histogram in ("wait", "run"):
        assert figures[f'aion2_task_{histogram}_seconds_count{{task="test.add"}}'] == 1
    assert figures["aion2_messages_taken_total"] == 3
    assert figures["aion2_redis_up"] == 1
    assert figures['aion2_worker_children{state="alive"}'] == 2


def test_a_wait_is_counted_from_when_the_message_was_sent(observed):
    sent = time.time() - 100
    observed.run("old", "test.add", args=[1, 2], aion2_sent_at=sent)
    figures = observed.figures("worker")
    assert figures['aion2_task_wait_seconds_sum{task="test.add"}'] >= 99
    assert figures['aion2_task_wait_seconds_bucket{task="test.add",le="60"}'] == 0


def test_a_batch_counts_its_phases_and_rows(observed):
    observed.populate(300)
    observed.run("batch")
    figures = observed.figures("worker")
    assert figures['aion2_batch_attempts_total{result="success"}'] == 1
    for phase in ("connect", "claim", "lock", "snapshot", "read", "keep", "score", "write",
                  "publish"):
        assert figures[f'aion2_batch_phase_seconds_count{{phase="{phase}"}}'] == 1, phase
    assert figures['aion2_batch_phase_seconds_count{phase="other"}'] == 0
    scored = figures['aion2_batch_characters_total{result="scored"}']
    failed = figures['aion2_batch_characters_total{result="failed"}']
    assert scored + failed == 300
    assert figures['aion2_batch_last_rows{what="entries"}'] == scored
    wait_for(lambda: observed.figure("api", "aion2_image_entries") == scored, 20, "the image")
    figures = observed.figures("api")
    assert figures['aion2_image_loads_total{result="loaded"}'] == 1
    assert figures["aion2_image_load_seconds_count"] == 1
    assert 0 <= figures["ranking_snapshot_age_seconds"] < 600
    assert figures["ranking_next_expected_timestamp_seconds"] > time.time()
    assert figures['aion2_ranking_state{state="live"}'] == 1


def test_a_child_that_dies_is_counted(observed):
    observed.run("crash", "test.crash", status="FAILURE")
    wait_for(lambda: observed.figure("worker", "aion2_worker_children_died_total") == 2, 20,
             "both deaths")
    observed.run("after", "test.add", args=[1, 1])


def ask(base, path):
    try:
        with urllib.request.urlopen(base + path, timeout=10) as reply:
            return reply.status
    except urllib.error.HTTPError as e:
        return e.code


def test_requests_are_counted_by_route_and_status(observed):
    observed.populate(50)
    observed.run("batch")
    wait_for(lambda: observed.status("api", "/ready") == 200, 20, "the ranking")
    for _ in range(3):
        assert ask(observed.base, "/api/ranking/top?limit=5") == 200
    assert ask(observed.base, "/api/ranking/top?limit=x") == 400
    assert ask(observed.base, "/nothing/here?server=%F0%9F") == 404
    figures = observed.figures("api")
    top = 'route="/api/ranking/top"'
    assert figures[f'aion2_http_requests_total{{{top},status="2xx"}}'] == 3
    assert figures[f'aion2_http_requests_total{{{top},status="4xx"}}'] == 1
    assert figures[f'aion2_http_request_seconds_count{{{top}}}'] == 4
    assert figures['aion2_http_requests_total{route="other",status="4xx"}'] == 1


def test_what_evhttp_refuses_is_counted(observed):
    host, _, port = observed.env["API_LISTEN"].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in s.recv(1000)
    wait_for(lambda: observed.figure("api", 'aion2_http_requests_total{route="other",status="4xx"}')
             == 1, 10, "the refused request")


def test_the_beat_counts_slots_and_shows_the_deployment(spawn, pg, redis_server, tmp_path):
    observed = Observed(spawn, pg, redis_server, tmp_path, BATCH_INTERVAL="1")
    wait_for(lambda: observed.figure("beat", 'aion2_slots_total{result="on_time"}') > 1, 20,
             "slots on time")
    wait_for(lambda: observed.figure("beat", 'aion2_fleet_messages_total{step="done"}'), 30,
             "figures of the deployment")
    figures = observed.figures("beat")
    assert figures['aion2_workers{state="alive"}'] == 1
    assert figures["aion2_beats"] == 1
    assert figures["aion2_schedules"] == 2
    assert figures["aion2_queue_messages"] >= 0
    for what in ("holds", "delayed", "dead", "quarantine"):
        assert figures[f'aion2_conservation_difference{{what="{what}"}}'] == 0
    assert figures["aion2_slot_delay_seconds_count"] > 1


def test_skipped_slots_say_why(spawn, pg, redis_server, tmp_path):
    observed = Observed(spawn, pg, redis_server, tmp_path)
    run_program("aion2ctl", "schedule", "set", "held", "--task", "test.sleep", "--every", "1",
                "--args", "[30]", env=observed.env, check=True)
    wait_for(lambda: observed.figure("beat", 'aion2_slots_skipped_total{reason="overlap"}') > 0,
             30, "a slot that was skipped")
    run_program("aion2ctl", "schedule", "pause", "held", "--reason", "test", env=observed.env,
                check=True)
    wait_for(lambda: observed.figure("beat", 'aion2_slots_skipped_total{reason="paused"}') > 0,
             30, "a slot that was paused")


def test_an_imbalance_shows(spawn, pg, redis_server, tmp_path):
    redis = redis_server.client()
    redis.hincrby("aion2:counters", "taken", 3)
    observed = Observed(spawn, pg, redis_server, tmp_path)
    wait_for(lambda: observed.figure("beat", 'aion2_conservation_difference{what="holds"}') == 3,
             30, "the difference")


def test_figures_of_a_redis_that_is_away_are_not_shown(observed):
    wait_for(lambda: observed.figure("beat", "aion2_beats") == 1, 30, "figures")
    observed.redis_server.kill()
    wait_for(lambda: "aion2_beats" not in observed.figures("beat"), 40, "no figures")
    assert observed.figure("beat", "aion2_redis_up") == 0
    wait_for(lambda: observed.figure("worker", "aion2_redis_up") == 0, 20, "the worker's")


def test_names_do_not_make_series(observed):
    """Characters, servers, task ids and addresses that people make up leave no trace."""
    def names():
        return {p: set(observed.figures(p)) - {"ranking_snapshot_age_seconds"} for p in PROGRAMS}

    observed.populate(20)
    observed.run("first")
    wait_for(lambda: observed.status("api", "/ready") == 200, 20, "the ranking")
    wait_for(lambda: observed.figure("beat", "aion2_ranking_published_timestamp_seconds"), 30,
             "the ranking's time")
    before = names()
    observed.populate(400)
    observed.run("second")
    for i in range(30):
        observed.run(f"id-{i}", f"made.up.{i}", status="FAILURE")
        ask(observed.base, f"/made/up/{i}")
        ask(observed.base, f"/api/character?server=S{i}&name=N{i}")
    assert names() == before


# -------------------------------------------------------------------------------------- the probes


def test_probes_of_a_system_that_works(observed):
    assert observed.status("api", "/fresh") == 503
    assert "no ranking is known" in observed.get("worker", "/fresh")[1]
    observed.populate(20)
    observed.run("batch")
    for program in PROGRAMS:
        for probe in ("live", "ready", "fresh"):
            wait_for(lambda p=program, k=probe: observed.get(p, f"/{k}") == (200, "ok\n"), 30,
                     f"{program} /{probe}")
            done = run_program(f"aion2-{program}", "--healthcheck", probe,
                               env={**observed.env, "METRICS_LISTEN": observed.address[program]})
            assert done.returncode == 0, done.stderr


def test_a_ranking_that_is_too_old_is_not_fresh(spawn, pg, redis_server, tmp_path):
    observed = Observed(spawn, pg, redis_server, tmp_path, FRESH_LIMIT="1")
    observed.populate(20)
    observed.run("batch")
    for program in PROGRAMS:
        wait_for(lambda p=program: "1 s are allowed" in observed.get(p, "/fresh")[1], 30,
                 f"{program} calling it old")
        assert observed.status(program, "/fresh") == 503
        done = run_program(f"aion2-{program}", "--healthcheck", "fresh",
                           env={**observed.env, "METRICS_LISTEN": observed.address[program]})
        assert done.returncode == 1 and "s old" in done.stderr


def test_without_redis_worker_and_beat_live_but_are_not_ready(observed):
    observed.redis_server.kill()
    for program in ("worker", "beat"):
        wait_for(lambda p=program: observed.status(p, "/ready") == 503, 40, f"{program} not ready")
        assert observed.status(program, "/live") == 200
    assert observed.status("api", "/ready") == 200
    observed.redis_server.start()
    for program in ("worker", "beat"):
        wait_for(lambda p=program: observed.status(p, "/ready") == 200, 40, f"{program} ready")


def test_a_program_that_stands_still_is_not_live(observed):
    import signal

    address = observed.address["worker"]
    env = {**observed.env, "METRICS_LISTEN": address}
    observed.worker.signal(signal.SIGSTOP)
    done = run_program("aion2-worker", "--healthcheck", "live", env=env)
    observed.worker.signal(signal.SIGCONT)
    assert done.returncode == 1 and "nobody answers" in done.stderr
    done = run_program("aion2-worker", "--healthcheck", "live", env=env)
    assert done.returncode == 0, done.stderr


def test_a_worker_that_stops_is_not_ready(observed):
    observed.push("long", "test.sleep", args=[600])
    wait_for(lambda: observed.figure("worker", "aion2_tasks_running") == 1, 20, "the task")
    observed.worker.proc.terminate()
    wait_for(lambda: observed.get("worker", "/ready") == (503, "stopping\n"), 20, "it stopping")


# ----------------------------------------------------------------------------------- the listener


def test_a_unix_socket_will_do(spawn, redis_server, tmp_path):
    path = str(tmp_path / "m.sock")
    env = {"REDIS_URL": redis_server.url, "METRICS_LISTEN": path}
    beat = spawn("aion2-beat", env)
    wait_for(lambda: fetch(path, "/ready")[0] == 200, 20, "the beat")
    assert run_program("aion2-beat", "--healthcheck", env=env).returncode == 0
    beat.kill()
    beat.start()  # the socket of the killed one is in its way
    wait_for(lambda: fetch(path, "/ready")[0] == 200, 20, "the next beat")
    assert beat.stop() == 0
    assert not (tmp_path / "m.sock").exists()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("listen", ["9100", "localhost:9100", "127.0.0.1:0", "127.0.0.1:70000",
                                    "::1:9100", "[::1]", "x" * 200, "/" + "x" * 200])
def test_wrong_addresses_are_refused(program, listen):
    done = run_program(f"aion2-{program}", "--check-config", env={"METRICS_LISTEN": listen})
    assert done.returncode == 64 and "METRICS_LISTEN" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_address_that_is_taken_ends_the_program(spawn, pg, redis_server, tmp_path, program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url, "STATE_DIR": str(tmp_path),
               "API_LISTEN": f"127.0.0.1:{free_port()}",
               "METRICS_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"}
        it = spawn(f"aion2-{program}", env)
        assert it.wait() == 1
        assert "METRICS_LISTEN" in it.log()


def test_strange_requests(observed):
    address = observed.address["beat"]
    assert fetch(address, "/nothing")[0] == 404
    assert fetch(address, "/metrics/../../etc/passwd")[0] in (400, 404)
    for method, status in (("POST", 405), ("HEAD", 200), ("DELETE", 405)):
        ask_it = urllib.request.Request(f"http://{address}/live", method=method)
        try:
            with urllib.request.urlopen(ask_it, timeout=10) as reply:
                assert reply.status == status
        except urllib.error.HTTPError as e:
            assert e.code == status, method
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 20000)
        assert b"HTTP/1.1 200" not in s.recv(1000)
    assert fetch(address, "/live")[0] == 200


def test_many_connections_are_bounded(observed):
    """More clients than are allowed wait; when they go, the next is answered."""
    host, port = observed.address["worker"].split(":")
    held = []
    for _ in range(75):
        s = socket.create_connection((host, int(port)), timeout=10)
        held.append(s)
    for s in held:
        s.close()
    wait_for(lambda: observed.status("worker", "/live") == 200, 30, "an answer")


def test_healthcheck_needs_somebody_to_ask():
    for program in PROGRAMS:
        done = run_program(f"aion2-{program}", "--healthcheck", "live")
        assert done.returncode == 64 and "METRICS_LISTEN" in done.stderr
    for program in ("worker", "api"):
        assert run_program(f"aion2-{program}", "--healthcheck", "nonsense").returncode == 64


def test_figures_are_json_free_text(observed):
    """The text can be read back whole: no sample twice, every value a number."""
    for program in PROGRAMS:
        found = samples(observed.get(program, "/metrics")[1])
        assert found["process_open_fds"] > 3
        assert found["process_resident_memory_bytes"] > 100000
        assert json.dumps(found)
