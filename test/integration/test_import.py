"""aion2ctl import against a real PostgreSQL."""

import concurrent.futures
import csv
import io
import json
import random
import subprocess

import pytest

import harness

HEAD = "server,name,class,level,power,stats_payload\n"


def load(pg, text, *args):
    """Imports text from standard input: exit code, counts, standard error."""
    done = harness.run_program("aion2ctl", "import", "-", "--json", *args, stdin=text,
                               env={"DATABASE_URL": pg.url})
    counts = json.loads(done.stdout) if done.stdout else None
    return done.returncode, counts, done.stderr


def counted(counts):
    return tuple(counts[k] for k in ("imported", "updated", "unchanged", "superseded", "skipped"))


def csv_text(rows, header):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def test_real_characters(pg):
    path = harness.TEST_DATA / "characters.csv"
    for expected in ((38, 0, 0, 0, 0), (0, 0, 38, 0, 0)):
        done = harness.run_program("aion2ctl", "import", path, "--json",
                                   env={"DATABASE_URL": pg.url})
        assert done.returncode == 0, done.stderr
        assert counted(json.loads(done.stdout)) == expected
    assert pg.value("SELECT count(*) FROM characters WHERE stats_payload <> '{}'") == 26
    assert pg.query("SELECT class, level, power, stats_payload, last_fetched_at::date::text"
                    " FROM characters WHERE name = '하얀늑대'") == [
        ("검성", 45, None, {"attack": 3353, "damage_amp": 273, "crit_rate": 344,
                          "crit_damage": 150, "attack_speed": 660, "defense": 10806,
                          "damage_reduction": 245, "hp": 6697}, "2026-01-10")]


def test_csv_is_read_as_python_writes_it(pg):
    raw = {"quote": 'a "b"', "back\\slash": "\n\t", "uni": "한\u2028😀", "n": [1, -2.5e3, None, True]}
    rows = [["S,1", 'na"me', "c d", 0, "", json.dumps({"attack": 1}), json.dumps(raw)],
            ["S,1", "한글", "검성", 100000, 2**63 - 1, "{}", json.dumps(raw, indent=1)]]
    text = "\ufeff" + csv_text(rows, ["server", "name", "class", "level", "power", "stats_payload",
                                      "raw_payload"])
    code, counts, err = load(pg, text)
    assert (code, counted(counts), err) == (0, (2, 0, 0, 0, 0), "")
    assert pg.query("SELECT server, name, class, level, power, stats_payload, raw_payload"
                    " FROM characters ORDER BY id") == [
        ("S,1", 'na"me', "c d", 0, None, {"attack": 1}, raw),
        ("S,1", "한글", "검성", 100000, 2**63 - 1, {}, raw)]


def test_ndjson(pg):
    objects = [
        {"server": "시엘", "name": "A\u0042", "class": "검성", "level": 45, "power": None,
         "stats_payload": {"attack": 1.5}, "raw_payload": "text", "id": 77},
        {"name": "C", "server": "시엘", "level": 1, "class": "x", "power": 5, "attack": 7, "hp": 2e3,
         "last_fetched_at": "2026-01-10T12:00:00+09:00"},
    ]
    text = "\n \n".join(json.dumps(o) for o in objects)
    code, counts, err = load(pg, text)
    assert (code, counted(counts)) == (0, (2, 0, 0, 0, 0))
    assert "ids of the file were ignored" in err
    rows = pg.query("SELECT name, power, stats_payload, raw_payload, last_fetched_at::text"
                    " FROM characters ORDER BY id")
    assert rows == [("AB", None, {"attack": 1.5}, "text", None),
                    ("C", 5, {"attack": 7, "hp": 2000}, None, "2026-01-10 03:00:00+00")]
    assert pg.value("SELECT max(id) FROM characters") < 77


def test_names_of_a_server_are_one(pg):
    names = ["시엘", "Siel", "SIEL", "네자칸", "Nezakan", "Nezekan", "奈薩肯", "Chantra", "우리 서버", "시"]
    rows = [[name, f"n{i}", "c", 1, 1, "{}"] for i, name in enumerate(names)]
    assert load(pg, csv_text(rows, ["server", "name", "class", "level", "power", "stats_payload"]))[0] == 0
    assert [r[0] for r in pg.query("SELECT server FROM characters ORDER BY name")] == \
        ["Siel"] * 3 + ["Nezekan"] * 4 + names[7:]
    again = [["Siel", "n0", "c", 2, 1, "{}"], ["시엘", "n0", "c", 3, 1, "{}"]]
    assert load(pg, csv_text(again, ["server", "name", "class", "level", "power", "stats_payload"]))[0] == 0
    assert pg.query("SELECT server, level FROM characters WHERE name = 'n0'") == [("Siel", 3)]


def test_a_profile_is_stored_as_it_is(pg):
    """On another scale: kept to be shown, never scored (test_batch_rules.py)."""
    payload = {"mode": "profile", "attack": 434, "hp": 165}
    row = {"server": "시엘", "name": "달그림자", "class": "살성", "level": 45, "stats_payload": payload}
    assert load(pg, json.dumps(row))[0] == 0
    assert pg.value("SELECT stats_payload FROM characters") == payload


def test_bad_csv_lines_are_reported_and_left_out(pg):
    bad = {
        3: ('S,B,c,abc,1,{}', 'level: "abc" is not a whole number'),
        4: ('S,B,c,-1,1,{}', "between 0 and 100000"),
        5: ('S,B,c,1,99999999999999999999,{}', "power"),
        6: ('S,B,c,1,1,[]', "stats_payload: is not a JSON object"),
        7: ('S,B,c,1,1,"{""a"": ""\\u0000""}"', "\\u0000"),
        8: ('S,B,c,1,1,"{""a"": ""\\ud800""}"', "surrogate"),
        9: ('S,B,c,1,1,{"a":1}', "quote inside"),
        10: ('S,B,c,1,1', "5 fields, but the header has 6"),
        11: ('S,,c,1,1,{}', "name: is missing"),
        12: ('S,' + "x" * 65 + ',c,1,1,{}', "longer than 64"),
        13: ('all,B,c,1,1,{}', "all servers"),
        14: ('S,B,c,1,1,"{""a"":1e200000}"', "range"),
        15: ('S,B\x07,c,1,1,{}', "control character"),
        16: ('S,B,c,,1,{}', "level: is missing"),
        17: ('S,"B"x,c,1,1,{}', "closing quote"),
        18: ('S,B,c,1,1,' + '"{""a"":' + "[" * 64 + "]" * 64 + '}"', "nested too deep"),
    }
    text = HEAD + "S,A,c,1,1,{}\n" + "".join(bad[n][0] + "\n" for n in sorted(bad)) + "S,Z,c,1,1,{}\n"
    code, counts, err = load(pg, text)
    assert code == 1
    assert counted(counts) == (2, 0, 0, 0, len(bad))
    lines = err.splitlines()
    assert len(lines) == len(bad)
    for line, (number, (_, why)) in zip(lines, sorted(bad.items())):
        assert line.startswith(f"line {number}: ") and why in line
    assert pg.query("SELECT name FROM characters ORDER BY name") == [("A",), ("Z",)]


def test_bad_ndjson_lines_are_reported_and_left_out(pg):
    good = '{"server":"S","name":"%s","class":"c","level":1}'
    bad = [
        ("[1]", "not a JSON object"),
        (good % "B" + "x", "more text"),
        ('{"server":"S","name":"B","class":"c","level":"1"}', "level: must be a number"),
        ('{"server":"S","name":"B","class":"c","level":1.5}', "whole number"),
        ('{"server":"S","name":"B","class":"c"}', "level: is missing"),
        ('{"server":"S","name":"B","class":"c","level":1,"lvl":2}', 'unknown key "lvl"; known are'),
        ('{"server":"S","name":"B","class":"c","level":1,"level":2}', "twice"),
        ('{"server":"S","name":"B","class":"c","level":1,"attack":1,"stats_payload":{}}', "both"),
        ('{"server":"S","name":"B","class":"c","level":1,"attack":1e13}', "between 0 and"),
        ('{"server":"S","name":"B","class":"c","level":1,"last_fetched_at":"soon"}', "not a time"),
        ('{"server":"S","name":"\udcff","class":"c","level":1}', "UTF-8"),
    ]
    text = "\n".join([good % "A"] + [b[0] for b in bad] + [good % "Z"])
    done = run_bytes(pg, text.encode("utf-8", "surrogateescape"))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    for number, (line, (_, why)) in enumerate(zip(lines, bad), start=2):
        assert line.startswith(f"line {number}: ") and why in line
    assert len(lines) == len(bad)
    assert pg.query("SELECT name FROM characters ORDER BY name") == [("A",), ("Z",)]


def run_bytes(pg, data):
    path = harness.make_temp_dir() / "input"
    try:
        path.write_bytes(data)
        return harness.run_program("aion2ctl", "import", path, env={"DATABASE_URL": pg.url})
    finally:
        path.unlink()
        path.parent.rmdir()


def test_only_the_first_bad_lines_are_printed(pg):
    text = HEAD + "S,A,c,x,1,{}\n" * 10
    code, counts, err = load(pg, text, "--errors", "3")
    assert (code, counts["skipped"]) == (1, 10)
    assert len(err.splitlines()) == 4 and "and 7 more" in err


def test_upsert_and_updated_at(pg):
    header = ["server", "name", "class", "level", "power", "stats_payload", "raw_payload",
              "last_fetched_at"]
    fetch = "2026-01-0%dT00:00:00Z"
    rows = [["S", n, "c", 45, 10, '{"attack": 1}', '{"r": 1}', fetch % 1] for n in "ABCDE"]
    assert load(pg, csv_text(rows, header))[0] == 0
    before = dict(pg.query("SELECT name, updated_at FROM characters"))

    rows[0] = ["S", "A", "c", 45, 10, '{"attack": 1.0}', '{"r":1}', fetch % 2]  # the same data
    rows[1][3] = 46
    rows[2][5] = '{"attack": 2}'
    rows[3][6] = '{"r": 2}'
    rows[4][4] = ""
    code, counts, _ = load(pg, csv_text(rows, header))
    assert (code, counted(counts)) == (0, (0, 4, 1, 0, 0))
    after = dict(pg.query("SELECT name, updated_at FROM characters"))
    assert {n for n in before if after[n] > before[n]} == set("BCDE")
    assert pg.query("SELECT name, level, power, stats_payload, raw_payload,"
                    " extract(day FROM last_fetched_at)::int FROM characters ORDER BY name") == [
        ("A", 45, 10, {"attack": 1}, {"r": 1}, 2), ("B", 46, 10, {"attack": 1}, {"r": 1}, 1),
        ("C", 45, 10, {"attack": 2}, {"r": 1}, 1), ("D", 45, 10, {"attack": 1}, {"r": 2}, 1),
        ("E", 45, None, {"attack": 1}, {"r": 1}, 1)]


def test_columns_that_are_not_there_keep_what_is_stored(pg):
    full = csv_text([["S", "A", "c", 1, 5, '{"hp": 1}', "[1]", "2026-01-01T00:00:00Z"]],
                    ["server", "name", "class", "level", "power", "stats_payload", "raw_payload",
                     "last_fetched_at"])
    assert load(pg, full)[0] == 0
    code, counts, _ = load(pg, "server,name,class,level,power\nS,A,c,2,5\n")
    assert (code, counted(counts)) == (0, (0, 1, 0, 0, 0))
    assert pg.query("SELECT level, stats_payload, raw_payload, last_fetched_at IS NULL"
                    " FROM characters") == [(2, {"hp": 1}, [1], False)]


def test_the_last_of_equal_keys_wins(pg):
    text = HEAD + "S,A,c,1,1,{}\nS,B,c,1,1,{}\nS,A,c,2,1,{}\nS,A,c,3,1,{}\n"
    code, counts, _ = load(pg, text)
    assert (code, counted(counts)) == (0, (2, 0, 0, 2, 0))
    assert pg.query("SELECT name, level FROM characters ORDER BY name") == [("A", 3), ("B", 1)]


def test_rows_that_only_postgresql_refuses_are_found(pg):
    # Beyond 4 MB a payload is refused by a constraint, which the importer cannot foresee.
    def payload(i):
        filler = "y" * 4_300_000 if i in (17, 250) else "y"
        return json.dumps({"attack": i, "x": filler})

    rows = [["S", f"n{i}", "c", 1, i, payload(i)] for i in range(300)]
    code, counts, err = load(pg, csv_text(rows, HEAD.strip().split(",")))
    assert code == 1
    assert counted(counts) == (298, 0, 0, 0, 2)
    lines = err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["line 19", "line 252"]
    assert "characters_payload_size_check" in lines[0]
    assert pg.value("SELECT count(*) FROM characters") == 298


def test_more_rows_than_a_chunk(pg):
    generated = harness.run_program("aion2ctl", "generate", "--count", "120001", "--servers", "7")
    first_line, rest = generated.stdout.split("\n", 1)
    code, counts, _ = load(pg, generated.stdout)
    assert (code, counted(counts)) == (0, (120001, 0, 0, 0, 0))
    expected = sum(int(line.split(",")[5]) for line in rest.splitlines())
    assert first_line.split(",")[5] == "attack"
    assert pg.value("SELECT sum((stats_payload->>'attack')::bigint) FROM characters") == expected


def test_long_lines_up_to_the_limit(pg):
    big = json.dumps("y" * 15_000_000)
    line = '{"server":"S","name":"%s","class":"c","level":1,"raw_payload":%s}\n'
    too_long = line % ("B", json.dumps("z" * 34_000_000))
    done = run_bytes(pg, (line % ("A", big) + too_long + line % ("C", "1")).encode())
    assert done.returncode == 1
    assert done.stderr == "line 2: longer than 32 MB\n"
    assert pg.query("SELECT name, length(raw_payload::text) FROM characters ORDER BY name") == [
        ("A", 15_000_002), ("C", 1)]


def test_stored_payloads_are_not_compressed(pg):
    # stats_for_scoring() relies on pg_column_size() being the true size.
    stats = json.dumps({"attack": 1, "x": "y" * 100_000})
    assert load(pg, csv_text([["S", "A", "c", 1, 1, stats]], HEAD.strip().split(",")))[0] == 0
    assert pg.value("SELECT pg_column_size(stats_payload) > 100000 FROM characters")


@pytest.mark.parametrize("text, why", [
    ("", "empty"),
    ("server,name\n", "lacks the column class"),
    ("server,name,class,level,lvl\n", 'unknown column "lvl"; known are server, name'),
    ("server,name,class,level,name\n", "twice"),
    (HEAD.strip() + ",hp\n", "both stats_payload and stat columns"),
])
def test_bad_headers(pg, text, why):
    code, _, err = load(pg, text, "--format", "csv")
    assert code == 1 and why in err
    assert pg.value("SELECT count(*) FROM characters") == 0


def test_two_imports_at_once(pg):
    rows = [["S", f"n{i}", "c", 1, i, "{}"] for i in range(5000)]
    texts = [csv_text(r, HEAD.strip().split(",")) for r in (rows, rows[::-1])]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda t: load(pg, t), texts))
    assert [r[0] for r in runs] == [0, 0], [r[2] for r in runs]
    assert sum(r[1]["imported"] for r in runs) == 5000
    assert pg.value("SELECT count(*) FROM characters") == 5000


def test_lost_connection_keeps_what_was_written(pg):
    rows = [["S", f"n{i}", "c", 1, i, "{}"] for i in range(120_000)]
    lines = csv_text(rows, HEAD.strip().split(",")).encode().splitlines(keepends=True)
    with subprocess.Popen([harness.bin_dir() / "aion2ctl", "import", "-", "--json"],
                          env=harness.clean_env({"DATABASE_URL": pg.url}), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as proc:
        proc.stdin.writelines(lines[:100_000])
        harness.wait_for(lambda: pg.value("SELECT count(*) FROM characters") == 50_000,
                         what="the first chunk")
        assert pg.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE application_name = 'aion2ctl'") == 1
        out, err = proc.communicate(b"".join(lines[100_000:]), timeout=60)
    assert proc.returncode == 69
    counts = json.loads(out)
    assert not counts["complete"] and counts["imported"] == 50_000
    assert b"running it again is safe" in err
    code, counts, _ = load(pg, b"".join(lines).decode())
    assert (code, counted(counts)) == (0, (70_000, 0, 50_000, 0, 0))


def test_database_without_schema(pg_empty):
    code, counts, err = load(pg_empty, HEAD)
    assert (code, counts) == (1, None)
    assert "aion2ctl migrate" in err


def test_no_file_and_no_database(pg):
    def run(*args, url=pg.url):
        return harness.run_program("aion2ctl", "import", *args, env={"DATABASE_URL": url})

    assert run("/nonexistent/file.csv").returncode == 1
    assert run().returncode == 64
    assert run("-", "--format", "xml").returncode == 64
    assert run(harness.TEST_DATA / "characters.csv",
               url="postgresql://127.0.0.1:1/nobody").returncode == 69


def test_json_is_refused_where_postgresql_refuses_it(pg):
    pieces = ["{", "}", "[", "]", ",", ":", '"a"', '"\\u0041"', "1", "-1", "01", "0.5", "1e131071",
              "1e131072", "1e-16383", "1e-16384", "1.5e-16382", "100e131069", "100e131070", "true",
              "null", "tru", '"\\ud83d\\ude00"', '"\\ud83d"', '"\\u0000"', " ", "\n", '"', "\\",
              "\v"]
    dice = random.Random(5)
    texts = [p for p in pieces if p.strip()]
    for _ in range(1500):
        inner = "".join(dice.choices(pieces, k=dice.randint(1, 7)))
        texts.append(dice.choice(['{"x":%s}', "[%s]"]) % inner)
    rows = [["S", f"n{i}", "c", 1, text] for i, text in enumerate(texts)]
    _, counts, err = load(pg, csv_text(rows, ["server", "name", "class", "level", "raw_payload"]))
    assert "PostgreSQL" not in err

    pg.script("CREATE FUNCTION is_jsonb(t text) RETURNS boolean LANGUAGE plpgsql AS $$"
              " BEGIN PERFORM t::jsonb; RETURN true;"
              " EXCEPTION WHEN data_exception OR program_limit_exceeded THEN RETURN false; END $$")
    valid = {i for (i,) in pg.query("SELECT i - 1 FROM unnest(%s) WITH ORDINALITY AS t (x, i)"
                                    " WHERE is_jsonb(x)", (texts,))}
    loaded = {int(name[1:]) for (name,) in pg.query("SELECT name FROM characters")}
    assert {texts[i] for i in loaded - valid} == set()
    # At the edge of numeric the importer counts leading zeros as digits and refuses a little more.
    assert {texts[i] for i in valid - loaded if "e1310" not in texts[i]} == set()
    assert 50 < counts["imported"] < 1000
