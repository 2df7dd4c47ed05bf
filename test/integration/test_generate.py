"""aion2ctl generate: the same bytes for the same arguments, and like the real characters."""

import csv
import hashlib
import io
import json
import statistics
import subprocess

import pytest

import harness

STATS = ["attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense",
         "damage_reduction", "hp"]

# Of the arguments in test_same_arguments_same_bytes, on every machine and with every compiler.
EXPECTED_SHA256 = "55e8b7c1b49cf34ae1be86eca2b38e77955077a301efd82b75223d73fec06bba"


def generate(*args):
    return harness.run_program("aion2ctl", "generate", *args, check=True).stdout


def members(*args):
    return list(csv.DictReader(io.StringIO(generate(*args))))


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive")


@pytest.fixture(scope="module")
def crowd():
    return members("--count", "20000", "--servers", "10", "--payload-bytes", "1")


@pytest.fixture(scope="module")
def real():
    with open(harness.TEST_DATA / "characters.csv", encoding="utf-8", newline="") as f:
        rows = [r for r in csv.DictReader(f)]
    return [r for r in rows if json.loads(r["raw_payload"])["mode"] == "sheet"]


@pytest.mark.parametrize("stat", STATS)
def test_quartiles_lie_near_the_real_ones(crowd, real, stat):
    found = quartiles([int(r[stat]) for r in crowd if r["level"] == "45"])
    expected = quartiles([int(r[stat]) for r in real])
    for a, b in zip(found, expected):
        assert abs(a - b) <= 0.08 * b, (found, expected)


def test_item_level_is_near_the_real_one_and_moves_the_stats(crowd, real):
    at_cap = [r for r in crowd if r["level"] == "45"]
    gear = [json.loads(r["raw_payload"])["itemLevel"] for r in at_cap]
    expected = quartiles([json.loads(r["raw_payload"])["item_level"] for r in real])
    for a, b in zip(quartiles(gear), expected):
        assert abs(a - b) <= 0.02 * b
    for stat in STATS:
        assert statistics.correlation(gear, [int(r[stat]) for r in at_cap]) > 0.25
    assert statistics.correlation(gear, [int(r["power"]) for r in at_cap]) > 0.8


def test_classes_differ_as_they_do_in_the_game(crowd):
    def mean(cls, stat):
        return statistics.mean(int(r[stat]) for r in crowd
                               if r["class"] == cls and r["level"] == "45")

    assert mean("궁성", "attack") > 1.3 * mean("치유성", "attack")
    assert mean("수호성", "hp") > mean("살성", "hp")


def test_names_are_unique_and_every_server_is_there(crowd):
    assert len({r["name"] for r in crowd}) == len(crowd)
    per_server = {}
    for r in crowd:
        per_server[r["server"]] = per_server.get(r["server"], 0) + 1
    assert len(per_server) == 10 and "시엘" in per_server
    assert min(per_server.values()) > 1000
    assert all(1 <= len(r["name"]) <= 12 for r in crowd)


def test_same_arguments_same_bytes():
    args = ("--count", "500", "--servers", "50", "--seed", "7", "--payload-bytes", "200")
    first = generate(*args)
    assert generate(*args) == first
    assert generate("--count", "500", "--servers", "50", "--seed", "8", "--payload-bytes",
                    "200") != first
    assert "서버43" in first
    assert hashlib.sha256(first.encode()).hexdigest() == EXPECTED_SHA256


def test_csv_and_ndjson_say_the_same():
    args = ("--count", "300", "--payload-bytes", "300")
    rows = members(*args)
    objects = [json.loads(line) for line in generate(*args, "--format", "ndjson").splitlines()]
    assert len(rows) == len(objects) == 300
    for r, o in zip(rows, objects):
        assert [r["server"], r["name"], r["class"], int(r["level"]), int(r["power"])] == [
            o["server"], o["name"], o["class"], o["level"], o["power"]]
        assert {s: int(r[s]) for s in STATS} == o["stats_payload"]
        assert json.loads(r["raw_payload"]) == o["raw_payload"]
        assert 250 <= len(r["raw_payload"].encode()) <= 400


def test_output_imports_without_a_complaint(pg):
    for fmt in ("csv", "ndjson"):
        done = harness.run_program("aion2ctl", "import", "-", "--json",
                                   stdin=generate("--count", "2000", "--format", fmt,
                                                  "--payload-bytes", "100"),
                                   env={"DATABASE_URL": pg.url})
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["imported" if fmt == "csv" else "unchanged"] == 2000


def test_edges():
    assert generate("--count", "0").count("\n") == 1
    assert len(members("--count", "3", "--servers", "10000")) == 3
    for args in (["--count", "-1"], ["--servers", "0"], ["--format", "x"], ["word"]):
        assert harness.run_program("aion2ctl", "generate", *args).returncode == 64


def test_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([harness.bin_dir() / "aion2ctl", "generate"], stdout=full,
                              stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1 and b"cannot write" in done.stderr
