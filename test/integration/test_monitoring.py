"""The dashboard and the alert rules: with promtool, and with a real Prometheus on the running programs."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from harness import REPO, free_port, start_process, wait_for
from observe import PROGRAMS, Observed, families

RULES = REPO / "packaging" / "prometheus" / "alerts.yml"
CASES = REPO / "packaging" / "prometheus" / "alerts_test.yml"
CONFIG = REPO / "packaging" / "prometheus" / "prometheus.yml"
DASHBOARD = REPO / "packaging" / "grafana" / "aion2rank.json"

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not installed")


def promtool(*args, cwd=None):
    return subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, cwd=cwd,
                          timeout=120, check=False)


def alerts():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


# ------------------------------------------------------------------------------------- the rules


def test_configuration_and_rules_are_sound():
    done = promtool("check", "config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_fires_and_is_silent_when_it_should():
    done = promtool("test", "rules", CASES, cwd=CASES.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [t["name"] for t in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]]
    assert sorted(names) == sorted(f"{a} {how}" for a in alerts() for how in ("firing", "silent"))


@pytest.mark.parametrize("expr,broken", [("vector(0) > 1", "firing"), ("vector(1)", "silent")])
def test_cases_notice_a_rule_that_never_or_always_fires(tmp_path, expr, broken):
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = expr
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    shutil.copy(CASES, tmp_path)
    done = promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)
    failed = set(re.findall(r"name: (\S+ \S+?),?$", done.stdout + done.stderr, re.MULTILINE))
    assert done.returncode != 0
    assert {f"{a} {broken}" for a in alerts()} <= failed


def test_rules_say_what_to_do():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("page", "ticket"), name
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], name


# --------------------------------------------------------------------------------- the dashboard


def dashboard_queries():
    """Title of the panel and expression, as a person sees them in Grafana."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [(panel["title"], target["expr"].replace("$__rate_interval", "1m"))
            for panel in board["panels"] for target in panel.get("targets", [])]


def names_in(expr):
    """Names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"', "", re.sub(r"\{[^}]*\}", "", expr))
    bare = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b(?:aion2|ranking|process|up)(?:_[a-z0-9_]+)?\b", bare)) - {"up"}


def family_of(name, known):
    """The metric that a series belongs to, or None."""
    for ending in ("", "_bucket", "_sum", "_count"):
        base = name.removesuffix(ending) if ending else name
        if name.endswith(ending) and base in known and (not ending or known[base] == "histogram"):
            return base
    return None


def test_panels_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken = set()
    for p in panels:
        at = p["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells and at["x"] + at["w"] <= 24, p["title"]
        taken |= cells


# ------------------------------------------------------------------------------ a real Prometheus


class Prometheus:
    """One on a free port that scrapes the given addresses by our own configuration."""

    def __init__(self, folder, addresses):
        config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for job in config["scrape_configs"]:
            program = job["job_name"].removeprefix("aion2-")
            job["static_configs"] = [{"targets": [addresses[program]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(RULES, folder)
        self.port = free_port()
        self.log = folder / "prometheus.log"
        self.proc = start_process(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], self.log,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})

    def get(self, path, **params):
        query = urllib.parse.urlencode(params)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}",
                                    timeout=20) as reply:
            return json.load(reply)["data"]

    def query(self, expr):
        return self.get("query", query=expr)["result"]

    def up(self):
        return {t["labels"]["job"]: (t["health"], t["lastError"])
                for t in self.get("targets")["activeTargets"]}

    def stop(self):
        self.proc.kill()
        self.proc.wait()


@pytest.fixture
def prometheus(tmp_path):
    started = []

    def start(addresses):
        started.append(Prometheus(tmp_path, addresses))
        return started[-1]

    yield start
    for p in started:
        p.stop()


def test_a_real_prometheus_scrapes_the_running_programs(spawn, pg, redis_server, tmp_path,
                                                        prometheus):
    (tmp_path / "state").mkdir()
    observed = Observed(spawn, pg, redis_server, tmp_path / "state", BATCH_INTERVAL="2")
    observed.populate(200)
    server = prometheus(observed.address)
    wait_for(lambda: {h for h, _ in server.up().values()} == {"up"} and len(server.up()) == 3, 60,
             "all targets up")

    known = {}
    for program in PROGRAMS:
        known.update(families(observed.get(program, "/metrics")[1]))
    used = {name: f"panel {title}" for title, expr in dashboard_queries() for name in names_in(expr)}
    used.update({name: f"rule {rule}" for rule, r in alerts().items()
                 for name in names_in(r["expr"])})
    assert used
    for name, where in used.items():
        assert family_of(name, known), f"{where}: there is no {name}"
    # Whatever a program shows is seen somewhere.
    shown = {family_of(n, known) for n in used}
    quiet = {"aion2_redis_lost_steps_total", "aion2_source_success_timestamp_seconds"}
    assert set(known) - shown <= quiet, sorted(set(known) - shown)

    wait_for(lambda: server.query("ranking_snapshot_age_seconds"), 30, "a ranking")

    def every_panel_has_data():
        empty = [f"{title}: {expr}" for title, expr in dashboard_queries()
                 if not server.query(expr)]
        assert not empty, empty
        return True

    wait_for(every_panel_has_data, 90, "data for every panel", interval=1)
    rules = [r for g in server.get("rules")["groups"] for r in g["rules"]]
    assert {r["name"] for r in rules} == set(alerts())
    assert [r["lastError"] for r in rules if r["health"] == "err"] == []
    firing = {a["labels"]["alertname"] for a in server.get("alerts")["alerts"]
              if a["state"] == "firing"}
    assert firing == set()

    observed.beat.stop()
    wait_for(lambda: any(a["labels"]["alertname"] == "Aion2NoBeat"
                         for a in server.get("alerts")["alerts"]), 60, "the beat being missed")
