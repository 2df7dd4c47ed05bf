"""POST /api/search: what is answered, what is stored, who may ask how often."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
from board import Api, add_characters, character_path, publish

PATH = "/api/search"
JSON = {"Content-Type": "application/json"}
STATS = {"attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense", "damage_reduction", "hp"}
SHEET = '{"hp": 1, "mode": "sheet"}'


@pytest.fixture
def start(pg, redis_server, spawn):
    def start_api(**settings):
        return Api(spawn, pg.url, **{"REDIS_URL": redis_server.url, "SEARCH_RATE_PER_MINUTE": 0} | settings)

    return start_api


def search(api, server, name, **headers):
    body = json.dumps({"server": server, "name": name}, ensure_ascii=False).encode()
    return api.ask(PATH, method="POST", body=body, headers=JSON | {k.replace("_", "-"): v for k, v in headers.items()})


def found(api, server, name, status):
    a = search(api, server, name)
    assert a.status == 200, (a.status, a.body)
    assert a.json["fetch_status"] == status, a.json
    return a.json


def rows(pg):
    return pg.query("SELECT server, name FROM characters ORDER BY id")


def age(pg, seconds=3600):
    """Everybody was fetched that long ago."""
    pg.script(f"UPDATE characters SET last_fetched_at = now() - interval '{seconds} s'")


# ----------------------------------------------------------------------------- what is answered


def test_fetched_then_cached(start, pg):
    api = start()
    doc = found(api, "Siel", "달그림자", "success")
    assert (doc["server"], doc["name"], doc["mode"], doc["state"]) == ("Siel", "달그림자", "sheet", "live")
    assert set(doc["stats_payload"]) == STATS | {"mode"}
    assert doc["power_score"] is doc["power_rank"] is doc["percentile"] is doc["last_scored_at"] is None
    again = found(api, "Siel", "달그림자", "cached")
    assert again == doc | {"fetch_status": "cached"}
    assert api.json(character_path("Siel", "달그림자")) == again
    age(pg, 61)
    later = found(api, "Siel", "달그림자", "success")
    assert later["last_fetched_at"] > doc["last_fetched_at"]
    assert {**later, "last_fetched_at": 0} == {**doc, "last_fetched_at": 0}
    assert rows(pg) == [("Siel", "달그림자")]
