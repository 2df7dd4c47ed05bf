"""The batch against the oracle: every number it publishes, for made-up populations."""

import json
import random
import string
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batch_lab
import oracle
from batch_lab import add, batch, check

GOOD = {"attack": 100, "damage_amp": 50, "crit_rate": 10, "crit_damage": 150, "attack_speed": 100,
        "defense": 300, "damage_reduction": 20, "hp": 10000}

# Payloads that fail, and the key that is to blame.
BAD = [
    ("[]", ""), ('[{"attack": 1}]', ""), ('"abc"', ""), ('""', ""), ("null", ""), ("12", ""),
    ("true", ""),
    ('{"attack": "abc"}', "attack"), ('{"attack": "12"}', "attack"), ('{"hp": ""}', "hp"),
    ('{"hp": null}', "hp"), ('{"hp": true}', "hp"), ('{"hp": false, "attack": 1}', "hp"),
    ('{"hp": [1]}', "hp"), ('{"hp": {"value": 1}}', "hp"), ('{"hp": -1}', "hp"),
    ('{"hp": -0.5}', "hp"), ('{"hp": 1000000000001}', "hp"),
    ('{"hp": 1000000000000.0000001}', "hp"), ('{"hp": 1e131071}', "hp"),
    ('{"hp": -1e131071}', "hp"), ('{"hp": -1e-16000}', "hp"),
    ('{"hp": "x", "damage_amp": null, "defense": -1}', "damage_amp"),
    ('{"\\u0061ttack": "x"}', "attack"),
    ('{"attack": ' + "[" * 50 + "]" * 50 + "}", "attack"),
]

# Payloads that look odd and are fine.
ODD = [
    '{"hp": -0}', '{"hp": -0.000}', '{"hp": 1000000000000}', '{"hp": 1e12}',
    '{"hp": 1000000000000.000}', '{"hp": 1e-16000}', '{"hp": 0.1, "attack": 1e3}',
    '{"\\u0061ttack": 500}', '{"Attack": "x", " hp": null, "hp ": -1}', '{"unknown": "x"}',
    '{"attack": 100.0}', '{"attack": 100.' + "0" * 3000 + '1}',
    '{"nested": {"attack": "x", "hp": [null, "}", {"defense": -1}]}, "hp": 5}',
    '{"공격력": -1, "attack": 7, "a\\"ttack\\\\": 1, "tab\\t": "\\n\\u001f"}',
]

# Seen, not read in full: neither scored nor failed. And what only looks like that.
PROFILES = [
    '{"mode": "profile"}', json.dumps({"mode": "profile", **GOOD}),
    '{"mode": "profile", "attack": "x", "hp": -1}', '{"hp": 1, "\\u006dode": "pr\\u006ffile"}',
]
SHEETS = [
    json.dumps({"mode": "sheet", **GOOD}), '{"hp": 9, "mode": "Profile"}', '{"hp": 9, "mode": null}',
    '{"hp": 9, "mode": ["profile"]}', '{"hp": 9, "mode": {"mode": "profile"}}',
    '{"hp": 9, "x": {"mode": "profile"}}', '{"hp": 9, "mode": "profile "}',
]

SERVERS = ["Siel", "Israphel", "바이젤", 'Quo"te\\', "O'Neill, %s"]
CLASSES = ["Warrior", "Ranger", "", "검성", 'Cla"ss']


def rows_with(payloads, server="Siel", power=1):
    return [(server, f"c{i}", "Warrior", 45, power, p) for i, p in enumerate(payloads)]


def test_six_characters_relaxed(pg):
    add(pg, rows_with([{**GOOD, "attack": 600 - 100 * i} for i in range(6)]))
    result = batch(pg)
    board = check(pg, result)
    assert {k: v for k, v in result.items() if k != "timestamp"} == {
        "status": "success", "processed": 6, "failed": 0, "servers": 1}
    assert [e.tier for e in batch_lab.entries(pg)] == ["S1", "A4", "B2", "C1", "C4", "D2"]
    assert board.entries[3].percentile == 50.0


def test_one_good_among_bad_ones(pg):
    add(pg, rows_with([GOOD, "[]", '{"hp": -1}', '"x"', '{"attack": "a"}', '{"hp": null}']))
    result = batch(pg)
    assert (result["processed"], result["failed"]) == (1, 5)
    board = check(pg, result)
    assert [(e.score, e.tier, e.percentile) for e in board.entries] == [(1000, "S1", 0.0)]


@pytest.mark.parametrize("rows", [[], rows_with([None]), rows_with([None] * 3)])
def test_no_data_writes_nothing(pg, rows):
    add(pg, rows)
    result = batch(pg, "nothing")
    assert result.pop("timestamp")
    assert result == {"status": "no_data", "processed": 0}
    assert pg.query("SELECT * FROM ranking_state") == []
    assert pg.query("SELECT state FROM batch_runs") == [("no_data",)]
    assert batch(pg, "nothing")["status"] == "no_data"


def test_no_data_leaves_the_board(pg):
    add(pg, rows_with([GOOD]))
    batch(pg)
    before = pg.query("SELECT * FROM ranking_current ORDER BY rank")
    pg.query("UPDATE characters SET stats_payload = NULL")
    assert batch(pg)["status"] == "no_data"
    assert pg.query("SELECT * FROM ranking_current ORDER BY rank") == before


def test_only_empty_payloads_publish_an_empty_board(pg):
    add(pg, rows_with(["{}", "{}", None]))
    result = batch(pg)
    assert (result["processed"], result["failed"], result["servers"]) == (0, 0, 0)
    assert check(pg, result).entries == []


def test_every_bad_payload(pg):
    ids = add(pg, rows_with([p for p, _ in BAD] + [GOOD] * 3))
    board = check(pg, batch(pg))
    assert board.failed == [(i, stat) for i, (_, stat) in zip(ids, BAD)]
    assert all(reason for (reason,) in pg.query("SELECT reason FROM batch_failures"))


@pytest.mark.parametrize("size", [0, 2000, 20_000], ids=["small", "larger", "large"])
def test_reasons_say_what_was_found(pg, size):
    """A large payload is cut down on its way; what is said of it stays true."""
    pad = {"pad": "x" * size} if size else {}
    add(pg, rows_with([{**pad, "hp": "abc"}, {**pad, "hp": None}, {**pad, "hp": [1]},
                       {**pad, "hp": {"a": 1}}, {**pad, "hp": False}, {**pad, "hp": -5},
                       {**pad, "hp": 10**13}]
                      + ([["x" * size]] if size else [[]])))
    batch(pg)
    reasons = [r for (r,) in pg.query("SELECT reason FROM batch_failures ORDER BY character_id")]
    kinds = ["is a string", "null is", "is an array", "is an object", "false is a boolean",
             "-5 is negative", "10000000000000 is above 1e12", "payload is an array"]
    for reason, kind in zip(reasons, kinds, strict=True):
        assert kind in reason


def test_profiles_are_never_scored(pg):
    """Not processed, not failed, on no board, in no average."""
    add(pg, rows_with(PROFILES + SHEETS + [GOOD] * 5))
    add(pg, rows_with(PROFILES, "Zikel"))
    result = batch(pg)
    assert (result["processed"], result["failed"], result["servers"]) == (len(SHEETS) + 5, 0, 1)
    assert len(check(pg, result).entries) == len(SHEETS) + 5


@pytest.mark.parametrize("pad", [1500, 9000, 200_000])
def test_large_profiles_are_never_scored(pg, pad):
    """Of a large payload only the stats are read: what it is was looked at before."""
    pad = {"pad": "x" * pad}
    add(pg, rows_with([{**GOOD, "mode": "profile", **pad}, {"mode": "profile", "hp": "x", **pad},
                       {**GOOD, "mode": "sheet", **pad}, {**GOOD, "mode": ["profile"], **pad},
                       ["mode", "profile", pad], GOOD]))
    board = check(pg, batch(pg))
    assert (board.processed, [stat for _, stat in board.failed]) == (3, [""])


def test_who_becomes_a_profile_leaves_the_board(pg):
    """It has not failed, so it keeps no earlier score."""
    one, other = add(pg, rows_with([GOOD, GOOD]))
    board = check(pg, batch(pg))
    pg.query("UPDATE characters SET stats_payload = stats_payload || %s WHERE id = %s",
             (json.dumps({"mode": "profile"}), one))
    board = check(pg, batch(pg), board)
    assert [e.id for e in board.entries] == [other]


def test_only_profiles_publish_an_empty_board(pg):
    add(pg, rows_with(PROFILES))
    result = batch(pg)
    assert (result["processed"], result["failed"], result["servers"]) == (0, 0, 0)
    assert check(pg, result).entries == []


def test_odd_but_fine_payloads(pg):
    add(pg, rows_with(ODD + [GOOD] * 5))
    assert check(pg, batch(pg)).failed == []


def test_large_payloads(pg):
    """Beyond what is passed on in full: only the eight keys are read."""
    pad = "x" * 1_000_000
    deep = "[" * 900 + "]" * 900
    add(pg, rows_with([
        {**GOOD, "pad": pad}, {"pad": pad}, {**GOOD, "attack": pad}, [pad], json.dumps(pad),
        {**GOOD, "attack": [1] * 1000}, {**GOOD, "pad": pad, "hp": None},
        json.dumps(GOOD)[:-1] + f', "deep": {deep}}}',
        {**{f"k{i}": 10**300 for i in range(5000)}, **GOOD},
        # a kilobyte that prints as megabytes, with and without more around it
        "{" + ", ".join(f'"k{i}": 1e131000' for i in range(40)) + ', "attack": 7}',
        "{" + ", ".join(f'"k{i}": 1e131000' for i in range(99)) + ', "attack": 7}',
    ]))
    board = check(pg, batch(pg))
    assert [stat for _, stat in board.failed] == ["attack", "", "", "attack", "hp"]


def test_compressed_payloads(pg):
    """Copied from another table, where a gigabyte of digits had been packed into some kilobytes."""
    pg.query("CREATE TABLE collected (name text, payload jsonb)")
    for n in (500, 3000, 9000):
        pg.query("INSERT INTO collected SELECT 'c' || %s, jsonb_build_object('attack', %s::int,"
                 " 'pad', (SELECT jsonb_agg(1e131000) FROM generate_series(1, %s)))", (n, n, n))
    pg.query("INSERT INTO collected VALUES ('array', to_jsonb(array_fill(7, ARRAY[3000]))),"
             " ('text', to_jsonb(repeat('x', 3000)))")
    pg.query("INSERT INTO characters (server, name, stats_payload)"
             " SELECT 'Siel', name, payload FROM collected")
    assert pg.value("SELECT count(pg_column_compression(stats_payload)) FROM characters") == 5
    add(pg, rows_with([{"attack": 1}]))
    result = batch(pg)
    assert (result["processed"], result["failed"]) == (4, 2)
    assert pg.query("SELECT name FROM ranking_current ORDER BY rank") == [
        ("c9000",), ("c3000",), ("c500",), ("c0",)]
    assert pg.query("SELECT reason FROM batch_failures ORDER BY seq") == [
        ("payload is an array",), ("payload is a string",)]


@pytest.mark.parametrize("change, packed", [
    ({}, True), ({"mode": "sheet"}, True), ({"other": [{"attack": "x"}]}, True),
    ({"hp": 0, "attack": 2**31 - 1}, True), ({"pad": "p" * 100_000}, True),
    ({"hp": 2**31}, False), ({"hp": -1}, False), ({"hp": 1.5}, False), ({"hp": 1e300}, False),
    ({"hp": "1"}, False), ({"hp": None}, False), ({"hp": [1]}, False), ({"hp": {"value": 1}}, False),
    ({"hp": True}, False), ({"mode": "profile"}, False), ({"mode": None}, False),
    ({"mode": "other"}, False), ({"mode": ["sheet"]}, False)])
def test_what_is_packed(pg, change, packed):
    """Packed or not, the board is the same; the oracle knows nothing of stats_packed."""
    payload = {**GOOD, **change}
    add(pg, rows_with([payload, GOOD, {"hp": 7}]))
    check(pg, batch(pg))
    wanted = struct.pack(">8i", *(payload[stat] for stat in oracle.STATS)) if packed else None
    found = pg.value("SELECT stats_packed FROM characters ORDER BY id")
    assert (None if found is None else bytes(found)) == wanted


def test_nothing_is_packed_of_odd_payloads(pg):
    texts = [text for text, _ in BAD] + ODD + PROFILES + ["{}", None]
    add(pg, rows_with(texts))
    assert pg.query("SELECT stats_payload::text FROM characters WHERE stats_packed IS NOT NULL") == []


def test_what_is_packed_follows_its_payload(pg):
    add(pg, rows_with([GOOD, GOOD, None]))
    pg.query("UPDATE characters SET stats_payload = '{\"hp\": \"x\"}' WHERE name = 'c0'")
    pg.query("UPDATE characters SET stats_payload = NULL WHERE name = 'c1'")
    pg.query("UPDATE characters SET stats_payload = %s WHERE name = 'c2'", (json.dumps(GOOD),))
    assert pg.query("SELECT stats_packed IS NOT NULL FROM characters ORDER BY name") == [
        (False,), (False,), (True,)]
    check(pg, batch(pg))


def test_whole_sums_are_exact(pg):
    """Sums that a double cannot hold."""
    add(pg, rows_with([{"attack": 10**12 - (i % 2)} for i in range(30011)]))
    assert check(pg, batch(pg)).averages["Siel"][0] == 10**12 - 1


@pytest.mark.parametrize("n", [1, 9, 10, 11])
def test_sample_sizes_around_the_limit(pg, n):
    add(pg, rows_with([{**GOOD, "attack": i // 2 * 7} for i in range(n)]))
    check(pg, batch(pg))


def test_zero_averages_and_ties(pg):
    add(pg, rows_with([{"other": 1}] * 12, power=None) + rows_with([{"hp": 1}] * 3, "Zikel"))
    board = check(pg, batch(pg))
    assert {e.score for e in board.entries} == {1000}


def test_names_come_back_as_they_are(pg):
    add(pg, [(s, n, c, 1, None, GOOD) for s in SERVERS for c in CLASSES
             for n in ("용사" + c, "x" * 64 if c == "" else "y" + c, "한" * 63 + str(CLASSES.index(c)))])
    check(pg, batch(pg))


def test_more_than_a_thousand_failures(pg):
    add(pg, rows_with(['{"hp": "x"}'] * 2500 + [GOOD]))
    done = batch_lab.run_batch(pg)
    result = json.loads(done.stdout)
    check(pg, result)
    assert result["failed"] == 2500
    assert done.stderr.count("event=batch.character_failed") == 20


def test_a_large_table_read_in_parallel_ranges(pg):
    """Several ranges of blocks, with holes, more readers than ranges and fewer."""
    pad = "p" * 900
    add(pg, [(SERVERS[i % 5], f"c{i}", CLASSES[i % 3], i % 7, i * 7919 % 100,
              {"attack": i * 7919 % 1000, "hp": i % 97 + 0.5, "pad": pad}) for i in range(12000)])
    pg.query("DELETE FROM characters WHERE id % 3 = 0")
    assert pg.value("SELECT pg_relation_size('characters') / 8192") > 3 * 256
    boards = []
    for connections in (1, 2, 7):
        result = batch(pg, BATCH_CONNECTIONS=connections)
        boards.append([(e.id, e.rank) for e in check(pg, result).entries])
    assert boards[0] == boards[1] == boards[2]


def test_the_tiers_have_the_same_names_in_sql(pg):
    """tier_name() has the 25 names of the program, and nothing for other numbers."""
    add(pg, [("Siel", f"c{i}", "", 1, i, dict.fromkeys(oracle.STATS, i)) for i in range(2000)])
    check(pg, batch(pg))
    assert [name for (name,) in pg.query(
        "SELECT tier_name(t::smallint) FROM generate_series(-1, 25) AS t ORDER BY t"
    )] == [None, *oracle.TIERS, None]
    by_program = pg.value("SELECT tier_cutoffs FROM server_stats")
    assert set(by_program) == set(oracle.TIERS)
    assert {name: {"min_score": low, "count": count} for name, low, count in pg.query(
        "SELECT power_rank, min(power_score), count(*) FROM ranking_current GROUP BY power_rank"
    )} == by_program


# ------------------------------------------------------------------------- random populations


def random_number(rng):
    return rng.choice([
        lambda: rng.randrange(1000), lambda: rng.randrange(10**12 + 1), lambda: 0,
        lambda: round(rng.random() * 100, rng.randrange(6)), lambda: rng.random() * 1e12,
        lambda: 7, lambda: rng.random() / 3e5, lambda: 2**31 - rng.randrange(2),
    ])()


def random_payload(rng, style):
    dice = rng.random()
    if dice < 0.05:
        return rng.choice(BAD)[0]
    if dice < 0.10:
        return rng.choice(ODD)
    if dice < 0.15:
        return rng.choice([None, "{}"])
    if dice < 0.20:
        return rng.choice(PROFILES + SHEETS)
    keys = rng.sample(oracle.STATS, rng.choice([8, 8, 8, 7, 1]))
    if style == "few":
        return {k: rng.randrange(3) for k in keys}
    if style == "plain":
        return {k: rng.randrange(50, 5000) for k in keys}
    return {k: random_number(rng) for k in keys}


def random_rows(rng, n):
    style = rng.choice(["few", "plain", "wild"])
    servers = rng.sample(SERVERS, rng.randrange(1, 6))
    return [(rng.choice(servers), f"{rng.choice(string.ascii_letters)}{i}", rng.choice(CLASSES),
             rng.randrange(3), rng.choice([None, 0, 1, rng.randrange(10**15)]),
             random_payload(rng, style)) for i in range(n)]


def disturb(pg, rng):
    """New data for some of the characters, other servers and classes for a few."""
    for (cid,) in pg.query("SELECT id FROM characters ORDER BY id"):
        if rng.random() < 0.4:
            payload = random_payload(rng, "plain")
            payload = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
            pg.query("UPDATE characters SET stats_payload = %s, level = level + %s, power = %s"
                     " WHERE id = %s",
                     (payload, rng.randrange(2), rng.choice([None, 5]), cid))
    pg.query("UPDATE characters SET server = 'Elsewhere', name = name || 'x' WHERE id %% 17 = %s",
             (rng.randrange(17),))


@pytest.mark.parametrize("seed", range(12))
def test_random_populations_over_three_runs(pg, seed):
    """Failed characters keep their scores from run to run."""
    rng = random.Random(seed)
    add(pg, random_rows(rng, rng.choice([3, 9, 10, 40, 400])))
    board = None
    for _ in range(3):
        result = batch(pg, BATCH_CONNECTIONS=rng.choice([1, 2, 3]))
        if result["status"] == "no_data":
            assert oracle.run(batch_lab.characters(pg), board) is None
        else:
            board = check(pg, result, board)
        disturb(pg, rng)


NUMBERS = st.one_of(
    st.integers(0, 10**12),
    st.integers(0, 20),
    st.floats(0, 1e12, allow_nan=False).map(abs),
    st.decimals(0, 10**12, places=3).map(str),
    st.decimals(0, 1, places=25).map(lambda d: format(d, "f")),
)
MODES = st.sampled_from(['"sheet"'] * 3 + ['"profile"'] * 2 + ["null", "7", '["profile"]'])
PAYLOADS = st.builds(
    lambda stats, mode: "{" + ", ".join(f'"{k}": {v}' for k, v in {**stats, **mode}.items()) + "}",
    st.dictionaries(st.sampled_from(oracle.STATS), NUMBERS, min_size=1),
    st.dictionaries(st.just("mode"), MODES))
POPULATIONS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 2),
                                 st.one_of(st.none(), st.integers(0, 2)), PAYLOADS),
                       min_size=1, max_size=25)


@settings(max_examples=40, deadline=None, database=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(POPULATIONS)
def test_small_populations(pg, population):
    pg.query("TRUNCATE characters")
    add(pg, [(server, f"c{i}", "W", level, power, payload)
             for i, (server, level, power, payload) in enumerate(population)])
    check(pg, batch(pg))
