"""Many characters by one request, and legions."""

import json
import random
from collections import defaultdict
from urllib.parse import quote

import pytest

import harness
from board import Api, add_characters, character_path, publish

PATH = "/api/characters/batch"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def api(pg, spawn):
    add_characters(pg, [("Siel", f"M{i}", "Ranger", i, 100 - i, '{"hp": 1}') for i in range(60)])
    publish(pg, where="mod(id, 3) > 0")  # some are not on the board
    api = Api(spawn, pg.url)
    harness.wait_for(lambda: "event=details.loaded" in api.program.log(), 10, "the details")
    return api


def post(api, who, **headers):
    body = json.dumps({"characters": [{"server": s, "name": n} for s, n in who]}, ensure_ascii=False).encode()
    return api.ask(PATH, method="POST", body=body, headers=JSON | headers)


def test_each_has_a_result_in_order(api):
    rng = random.Random(3)
    who = [(rng.choice(["Siel", "Siel", "Siel", "Nowhere"]), f"M{rng.randrange(70)}") for _ in range(200)]
    doc = post(api, who).json
    assert [(c["server"], c["name"]) for c in doc["characters"]] == who
    assert {c["status"] for c in doc["characters"]} == {"found", "absent"}
    for (server, name), c in zip(who, doc["characters"]):
        alone = api.get(character_path(server, name))
        assert (c["status"] == "found") == (alone.status == 200)
        if c["character"]:
            expected = alone.json
            assert expected.pop("snapshot") == doc["snapshot"]
            assert c["character"] == expected
    assert {c["character"]["ranks"] is None for c in doc["characters"] if c["character"]} == {True, False}


def test_names_of_every_kind(api, pg):
    names = ['Quote"Back\\slash', "나무꾼", "日本 & co", "{}", "a" * 64, "나" * 64, "x,y"]
    add_characters(pg, [("새 \"서버\"", n, "Ranger", 1, 1, None) for n in names])
    doc = post(api, [("새 \"서버\"", n) for n in names]).json
    assert [(c["name"], c["status"], c["character"]["name"]) for c in doc["characters"]] == \
        [(n, "found", n) for n in names]


def test_without_postgresql_what_memory_has_is_told(api, pg):
    on_board, off_board = (pg.value(f"SELECT name FROM characters WHERE mod(id, 3) {op} 0 LIMIT 1") for op in (">", "="))
    pg.stop("immediate")
    api.program.wait_log("state=detached")
    doc = post(api, [("Siel", on_board), ("Siel", off_board), ("Siel", "Nobody")]).json
    assert [c["status"] for c in doc["characters"]] == ["found", "unavailable", "unavailable"]
    assert doc["characters"][0]["character"]["stats_payload"] == {"hp": 1}


ONE = {"server": "Siel", "name": "M1"}


@pytest.mark.parametrize("body, param", [
    ({"characters": []}, "characters"),
    ({"characters": [ONE] * 201}, "characters"),
    ({"characters": {}}, "characters"),
    ({}, "characters"),
    ({"characters": [ONE], "more": 1}, None),
    ({"characters": [1]}, None),
    ({"characters": [ONE, None]}, None),
    ({"characters": [ONE, {"server": "Siel"}]}, "name"),
    ({"characters": [{"name": "M1"}]}, "server"),
    ({"characters": [ONE | {"class": "x"}]}, None),
    ({"characters": [ONE | {"name": ""}]}, "name"),
    ({"characters": [ONE | {"name": 7}]}, "name"),
    ({"characters": [ONE | {"name": "a" * 65}]}, "name"),
    ({"characters": [ONE | {"name": "a\u0007"}]}, "name"),
    ({"characters": [ONE | {"name": "a\u0000"}]}, None),
    ('{"characters": [{"server": "a", "name": "b", "name": "c"}]}', "name"),
    ('{"characters": [{"server": "a", "name": "b"}], "characters": []}', "characters"),
    ('{"characters": [{"server": "a", "name": "b"}]', None),
    ('{"characters": [{"server": "a", "name": "\\ud800"}]}', None),
    ("", None), ("[]", None), ("nul", None), ("[" * 1000, None),
])
def test_bodies_that_are_refused(api, body, param):
    body = body if isinstance(body, str) else json.dumps(body)
    api.ask(PATH, method="POST", body=body.encode(), headers=JSON).problem(400, param)


def test_the_kind_of_the_body_is_told(api):
    assert post(api, [("Siel", "M1")], **{"Content-Type": "Application/JSON; charset=utf-8"}).status == 200
    assert post(api, [("Siel", "M1")], **{"Content-Type": "text/json"}).status == 415
    assert api.ask(PATH, method="POST", body=b" " * 70000, headers=JSON).status == 413


# ---------------------------------------------------------------------------------------- legions


def expected_legions(pg):
    """From the table: by server, who is on the board and has a legion."""
    members = defaultdict(list)
    for server, legion, power, score in pg.query(
            "SELECT server, legion, e.power, e.power_score FROM ranking_entries AS e JOIN ranking_state USING (run_id)"
            " JOIN characters AS c ON c.id = e.character_id WHERE legion <> ''"):
        members[server, legion].append((power, score))
    found = defaultdict(list)
    for (server, legion), who in members.items():
        powers = [p for p, _ in who if p is not None]
        found[server].append({"legion": legion, "members": len(who), "total_power": sum(powers),
                              "average_power": sum(powers) // len(powers) if powers else None,
                              "top_score": max(s for _, s in who)})
    return {s: sorted(all, key=lambda x: (-x["total_power"], -x["members"])) for s, all in found.items()}


def legions(api, server, more=""):
    return api.json(f"/api/legions?server={quote(server)}{more}")


def test_legions_are_summed_up(pg, spawn):
    rng = random.Random(1)
    add_characters(pg, [(rng.choice(["Siel", "Zikel"]), f"L{i}", "Ranger", 1,
                         rng.choice([None, rng.randrange(1, 10 ** 6), 10 ** 6 + i]), None) for i in range(700)])
    pg.script("UPDATE characters SET legion = (ARRAY['', 'Moon', '달빛', 'a \"b\"', 'Rare' || mod(id, 40)])[1 + mod(id, 5)]")
    pg.script("UPDATE characters SET legion = 'Nobody knows', power = NULL WHERE name = 'L3'")
    publish(pg, where="mod(id, 7) > 0")
    api = Api(spawn, pg.url)
    harness.wait_for(lambda: "event=details.loaded" in api.program.log(), 10, "the details")
    expected = expected_legions(pg)
    for server in ("Siel", "Zikel"):
        harness.wait_for(lambda s=server: legions(api, s)["legions"] == expected[s][:100], 10, "the sums")
        doc = legions(api, server)
        assert doc["legions"] == expected[server][:100] and doc["total"] == len(expected[server]) > 5
        assert doc["server"] == server
        few = legions(api, server, "&limit=2")
        assert few["legions"] == expected[server][:2] and few["total"] == doc["total"]
    pg.script("UPDATE characters SET legion = 'New' WHERE legion = 'Moon'")  # a change is heard
    expected = expected_legions(pg)
    harness.wait_for(lambda: legions(api, "Siel")["legions"] == expected["Siel"][:100], 10, "the new name")
    assert legions(api, "Chantra") == doc | {"server": "Chantra", "total": 0, "legions": []}
    assert api.get("/api/legions?server=Nowhere").problem(404, "server")
    pg.stop("immediate")
    api.program.wait_log("state=detached")
    assert legions(api, "Siel")["legions"] == expected["Siel"][:100]
