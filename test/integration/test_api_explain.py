"""How scores come about, and characters side by side, against the oracle of the rules."""

import json
import random
from urllib.parse import quote, urlencode

import pytest

import batch_lab
import harness
import oracle
from board import Api, character_path

SERVERS = ("Siel", "새 서버")


def explain_path(server, name):
    return character_path(server, name).replace("/api/character?", "/api/character/explain?")


def random_rows(rng, n):
    """Stats of every kind that is scored: whole, fractional, missing, zero, huge."""
    rows = []
    for i in range(n):
        stats = {s: rng.choice([rng.randrange(2000), rng.random() * 1000, 0, 10 ** rng.randrange(13)])
                 for s in oracle.STATS if rng.random() > 0.1}
        rows.append((SERVERS[i % 2], f"E{i}", "Ranger", 1, i, json.dumps(stats)))
    return rows


@pytest.fixture
def lab(pg, spawn):
    """Forty characters, scored by the batch, and the service; averages by server."""
    batch_lab.add(pg, random_rows(random.Random(5), 40))
    batch_lab.batch(pg)
    api = Api(spawn, pg.url)
    api.averages = {r[0]: dict(zip(oracle.STATS, r[1:])) for r in pg.query(
        "SELECT server, " + ", ".join(f"avg_{s}" for s in oracle.STATS) + " FROM server_stats"
        " WHERE run_id = (SELECT run_id FROM ranking_state)")}
    return api


def test_the_parts_give_exactly_the_score(lab, pg):
    scores = {(e.server, e.name): e for e in batch_lab.entries(pg)}
    assert len(scores) == 40 and {len(a) for a in lab.averages.values()} == {8}
    for c in batch_lab.characters(pg):
        doc = lab.json(explain_path(c.server, c.name))
        entry = scores[c.server, c.name]
        assert (doc["power_score"], doc["power_rank"]) == (entry.score, entry.tier)
        assert doc["stats_score"] == entry.score == round(doc["points"])
        assert doc["stats_newer"] is False and doc["fault"] is None
        assert (doc["rules_version"], doc["sample_size"]) == (1, 20)
        payload = json.loads(c.payload)
        terms = {t["stat"]: t for t in doc["terms"]}
        assert list(terms) == list(oracle.STATS)
        values = {s: t["value"] for s, t in terms.items()}
        assert values == {s: float(payload.get(s, 0)) for s in oracle.STATS}
        averages = {s: t["average"] for s, t in terms.items()}
        assert averages == lab.averages[c.server]
        assert oracle.power_score(values, averages) == entry.score
        for s, t in terms.items():
            assert t["ratio"] == (1.0 if averages[s] == 0 else values[s] / averages[s])
            assert t["points"] == 1000 * t["weight"] * t["ratio"]
        assert sum(t["weight"] for t in terms.values()) == pytest.approx(1)
        assert sum(t["points"] for t in terms.values()) == pytest.approx(doc["points"])
        assert sum(t["share"] for t in terms.values()) == pytest.approx(100, abs=0.1)


def test_stats_that_changed_since_are_told(lab, pg):
    pg.script("UPDATE characters SET stats_payload = '{\"attack\": 1}' WHERE name = 'E4'")
    harness.wait_for(lambda: lab.json(explain_path("Siel", "E4"))["stats_newer"], 10, "the change")
    doc = lab.json(explain_path("Siel", "E4"))
    values = {s: 0 for s in oracle.STATS} | {"attack": 1}
    assert doc["stats_score"] == oracle.power_score(values, lab.averages["Siel"]) != doc["power_score"]
    profile = json.dumps({s: 7 for s in oracle.STATS} | {"mode": "profile"})
    for payload in ("NULL", "'{}'", "'{\"hp\": -1}'", "'[]'", f"'{profile}'"):
        pg.script(f"UPDATE characters SET stats_payload = {payload} WHERE name = 'E4'")
        harness.wait_for(lambda: lab.json(explain_path("Siel", "E4"))["fault"], 10, payload)
        doc = lab.json(explain_path("Siel", "E4"))
        assert doc["terms"] == [] and doc["points"] is None and doc["stats_newer"] is True
        pg.script("UPDATE characters SET stats_payload = '{\"hp\": 1}' WHERE name = 'E4'")
        harness.wait_for(lambda: not lab.json(explain_path("Siel", "E4"))["fault"], 10, "stats again")


@pytest.mark.parametrize("pad", [{}, {"pad": "x" * 9000}], ids=["small", "large"])
def test_a_profile_is_shown_and_never_scored(lab, pg, pad):
    profile = {s: 7 for s in oracle.STATS} | {"mode": "profile"} | pad
    conn = pg.connect()
    with conn.cursor() as cur:
        cur.execute("UPDATE characters SET stats_payload = %s WHERE name = 'E4'", (json.dumps(profile),))
    conn.close()
    batch_lab.batch(pg)
    harness.wait_for(lambda: lab.get(explain_path("Siel", "E4")).status == 404, 10, "the ranking")
    doc = lab.json(character_path("Siel", "E4"))
    assert doc["mode"] == "profile" and doc["stats_payload"]["attack"] == 7
    assert [doc[k] for k in ("power_score", "power_rank", "percentile", "last_scored_at", "ranks")] == [None] * 5
    both = lab.json("/api/compare?a=Siel:E4&b=Siel:E6")["characters"]
    assert both[0]["stats"] is None and both[1]["stats"] is not None


def test_who_is_not_on_the_board_is_not_explained(lab, pg):
    batch_lab.add(pg, [("Siel", "New", "Ranger", 1, 1, {"hp": 1})])
    assert lab.get(explain_path("Siel", "New")).problem(404) == "This character is not on the board."
    assert lab.get(explain_path("Siel", "Nobody")).problem(404) == "Character not found"


def test_without_postgresql(lab, pg):
    harness.wait_for(lambda: "event=details.loaded" in lab.program.log(), 10, "the details")
    before = lab.json(explain_path("Siel", "E2"))
    pair = compare_path("Siel:E2", "새 서버:E3")
    side_by_side = lab.json(pair)
    pg.stop("immediate")
    lab.program.wait_log("state=detached")
    assert lab.json(explain_path("Siel", "E2")) == before
    assert lab.json(pair) == side_by_side
    lab.get(explain_path("Siel", "Nobody")).problem(503)


# ---------------------------------------------------------------------------------------- compare


def compare_path(*who):
    return "/api/compare?" + urlencode(dict(zip("abcd", who)))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_characters_side_by_side(lab, pg, count):
    who = [("Siel", "E0"), ("새 서버", "E1"), ("Siel", "E2"), ("Siel", "E0")][:count]
    # The point of the day is read a moment after the ranking.
    harness.wait_for(lambda: lab.json(character_path("Siel", "E0"))["rank_change"]["day"], 30, "the day's places")
    doc = lab.json(compare_path(*(f"{s}:{n}" for s, n in who)))
    assert len(doc["characters"]) == count
    for (server, name), c in zip(who, doc["characters"]):
        alone = lab.json(character_path(server, name))
        snapshot, stats = alone.pop("snapshot"), c.pop("stats")
        assert c == alone and snapshot == doc["snapshot"]
        assert stats == {s: float(alone["stats_payload"].get(s, 0)) for s in oracle.STATS}


def test_names_with_colons(lab, pg):
    batch_lab.add(pg, [("Siel", "a:b:c", "Ranger", 1, 1, None)])
    doc = lab.json(compare_path("Siel:a:b:c", "Siel:E0"))
    assert doc["characters"][0]["name"] == "a:b:c" and doc["characters"][0]["stats"] is None


@pytest.mark.parametrize("bad", ["Siel", ":E0", "Siel:", ":", "가" * 65 + ":x", "Siel:" + "가" * 65])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_what_is_no_character(lab, bad, at):
    who = ["Siel:E0"] * 4
    who[at] = bad
    lab.get(compare_path(*who)).problem(400, "abcd"[at])


def test_longest_names(lab, pg):
    server, name = "가" * 64, "나" * 64
    batch_lab.add(pg, [(server, name, "Ranger", 1, 1, None)])
    assert lab.json(compare_path(f"{server}:{name}", "Siel:E0"))["characters"][0]["name"] == name


def test_somebody_who_is_not_there(lab):
    assert lab.get(compare_path("Siel:E0", "Siel:Nobody")).problem(404) == "Character not found"
    lab.get("/api/compare?a=" + quote("Siel:E0")).problem(400, "b")
    assert len(lab.json("/api/compare?a=Siel:E0&b=Siel:E2&d=Siel:E4&c=")["characters"]) == 3
