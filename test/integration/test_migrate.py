"""aion2ctl migrate against a real PostgreSQL."""

import concurrent.futures
import hashlib
import json
import shutil
import subprocess

import pytest

import harness

LOCK_KEY = 0x61696F6E32000001


def migrate(url, *args):
    return harness.run_program("aion2ctl", "migrate", *args, env={"DATABASE_URL": url})


def states(url):
    done = migrate(url, "--status", "--json")
    return done.returncode, [m["state"] for m in json.loads(done.stdout)["migrations"]]


def own_migrations():
    folder = harness.REPO / "migrations"
    return sorted(p.stem for p in folder.glob("[0-9]*_*.sql"))


def test_fresh_database_gets_every_migration(pg_empty):
    done = migrate(pg_empty.url)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == own_migrations()
    rows = pg_empty.query("SELECT name, length(checksum), applied_by FROM schema_migrations"
                          " ORDER BY version")
    assert [r[0] for r in rows] == own_migrations()
    assert all(r[1] == 64 and r[2].startswith("aion2ctl ") for r in rows)
    assert pg_empty.value("SELECT count(*) FROM characters_scored") == 0


def test_second_run_changes_nothing(pg):
    before = pg.query("SELECT * FROM schema_migrations")
    done = migrate(pg.url)
    assert done.returncode == 0
    assert "nothing to apply" in done.stdout
    assert pg.query("SELECT * FROM schema_migrations") == before
    assert json.loads(migrate(pg.url, "--json").stdout) == {"ok": True, "applied": []}


def test_status_before_and_after(pg_empty):
    code, found = states(pg_empty.url)
    assert code == 1
    assert found == ["pending"] * len(own_migrations())
    assert pg_empty.value("SELECT to_regclass('schema_migrations')") is None, "status changes nothing"
    assert migrate(pg_empty.url).returncode == 0
    assert states(pg_empty.url) == (0, ["applied"] * len(own_migrations()))
    assert own_migrations()[0] in migrate(pg_empty.url, "--status").stdout


def test_edited_migration_is_refused(pg):
    pg.script("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1")
    done = migrate(pg.url)
    assert done.returncode == 1
    assert own_migrations()[0] in done.stderr and "edited" in done.stderr
    code, found = states(pg.url)
    assert code == 1 and found[0] == "edited"


def test_newer_database_is_refused(pg):
    pg.script("INSERT INTO schema_migrations (version, name, checksum, applied_by)"
              " VALUES (9000, '9000_future', 'x', 'later')")
    done = migrate(pg.url)
    assert done.returncode == 1
    assert "9000_future" in done.stderr and "upgrade" in done.stderr
    code, found = states(pg.url)
    assert code == 1 and found[-1] == "unknown"


def test_failing_migration_leaves_nothing(pg_empty):
    # The base schema creates characters first and fails on this one later.
    pg_empty.script("CREATE TABLE ranking_state (mine integer)")
    done = migrate(pg_empty.url)
    assert done.returncode == 1
    assert own_migrations()[0] in done.stderr and "ranking_state" in done.stderr
    assert pg_empty.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                          " AND relkind = 'r' ORDER BY 1") == [("ranking_state",),
                                                              ("schema_migrations",)]
    assert pg_empty.value("SELECT count(*) FROM schema_migrations") == 0
    pg_empty.script("DROP TABLE ranking_state")
    assert migrate(pg_empty.url).returncode == 0


BEFORE_PACKING = """
INSERT INTO characters (server, name, class, level, power)
SELECT 'S' || i % 3, 'c' || i, 'K' || i % 2, 100000 - i, nullif(i, 5) FROM generate_series(1, 60) AS i;
INSERT INTO batch_runs (id, task_id, owner, state, rules_version) OVERRIDING SYSTEM VALUE
SELECT i, i::text, gen_random_uuid(), 'success', 1 FROM generate_series(1, 3) AS i;
INSERT INTO ranking_groups SELECT r, row_number() OVER (PARTITION BY r) - 1, server, class
FROM generate_series(1, 3) AS r, (SELECT DISTINCT server, class FROM characters) AS g;
CREATE TABLE ranking_entries_1 PARTITION OF ranking_entries FOR VALUES IN (1);
CREATE TABLE ranking_entries_2 PARTITION OF ranking_entries FOR VALUES IN (2);
CREATE TABLE ranking_entries_3 PARTITION OF ranking_entries FOR VALUES IN (3);
INSERT INTO ranking_entries
SELECT g.run_id, c.id, c.power, 5000 - c.id, now() - c.id * interval '1 hour', c.id, c.id / 3 + 1, c.id / 2 + 1,
       c.id / 6 + 1, c.level, g.group_no, c.id * 167 % 10001, c.id % 25, c.id % 7 = 0, c.name
FROM characters AS c JOIN ranking_groups AS g USING (server, class);
INSERT INTO ranking_state (run_id, generated_at, entries, previous_run_id) VALUES (3, now(), 60, 2);
"""


def test_boards_of_a_running_system_are_kept(pg_empty):
    """0006 packs the numbers of the live generation and the one before it; SQL sees them as before."""
    pg = pg_empty
    pg.script("CREATE FUNCTION pack_places(integer, integer) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'")
    assert migrate(pg.url).returncode == 1  # everything up to that one
    pg.script("DROP FUNCTION pack_places")
    pg.script(BEFORE_PACKING)
    role = f"owner_{pg.value('SELECT md5(current_database())')}"
    pg.script(f"CREATE ROLE {role}; GRANT SELECT ON ranking_entries TO PUBLIC; ALTER TABLE ranking_entries OWNER TO {role}")
    rights = "SELECT relowner::regrole::text, relacl::text FROM pg_class WHERE oid = 'ranking_entries'::regclass"
    rights_before = pg.query(rights)
    rows = "SELECT * FROM ranking_rows WHERE run_id > 1 ORDER BY run_id, character_id"
    before = pg.query(rows)
    assert len(before) == 120
    done = migrate(pg.url)
    assert done.returncode == 0, done.stderr
    assert pg.query(rows) == before
    assert pg.value("SELECT count(*) FROM characters_scored WHERE power_score > 0") == 60
    assert pg.query("SELECT inhrelid::regclass::text FROM pg_inherits"
                    " WHERE inhparent = 'ranking_entries'::regclass ORDER BY 1") == [
                        ("ranking_entries_2",), ("ranking_entries_3",)]
    assert pg.query(rights) == rights_before
    assert pg.query("SELECT DISTINCT relowner::regrole::text FROM pg_inherits JOIN pg_class ON oid = inhrelid"
                    " WHERE inhparent = 'ranking_entries'::regclass") == [(role,)]
    pg.script(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def test_characters_and_what_was_added_to_them_are_kept(pg_empty):
    """0007 moves a column to the end, and nobody notices."""
    pg = pg_empty
    pg.script("""
        CREATE FUNCTION stop() RETURNS event_trigger LANGUAGE plpgsql
        AS 'BEGIN IF current_query() LIKE ''%raw_last%'' THEN RAISE ''stop''; END IF; END';
        CREATE EVENT TRIGGER stop ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION stop();
    """)
    assert migrate(pg.url).returncode == 1  # everything up to that one
    role = f"reader_{pg.value('SELECT md5(current_database())')}"
    pg.script(f"""
        DROP EVENT TRIGGER stop; DROP FUNCTION stop;
        INSERT INTO characters (server, name, class, level, power, raw_payload, stats_payload, legion, source_id)
        SELECT 'S' || i % 3, 'c' || i, 'K', i, nullif(i, 5), jsonb_build_object('i', repeat('x', i * 100)),
               CASE WHEN i > 3 THEN jsonb_build_object('attack', i) END, 'L' || i % 4, i::text
        FROM generate_series(1, 60) AS i;
        CREATE INDEX mine ON characters (power) WHERE level > 3;
        CREATE ROLE {role}; GRANT SELECT, INSERT ON characters TO {role}; GRANT SELECT ON characters_scored TO {role};
        GRANT DELETE ON characters TO {role} WITH GRANT OPTION; GRANT UPDATE (legion, level) ON characters TO {role};
        ALTER TABLE characters ADD COLUMN "Note" text COLLATE "C" NOT NULL DEFAULT 'it''s',
                               ADD COLUMN half bigint GENERATED ALWAYS AS (power / 2) STORED, ADD COLUMN gone text;
        UPDATE characters SET "Note" = name WHERE id > 9;
        ALTER TABLE characters DROP COLUMN gone, SET (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 90),
                               ALTER level SET STATISTICS 7, REPLICA IDENTITY FULL,
                               ADD COLUMN chief bigint CONSTRAINT a_chief REFERENCES characters;
        CREATE TABLE guests (id bigint REFERENCES characters ON DELETE CASCADE);
        INSERT INTO guests VALUES (7);
        CREATE STATISTICS together ON server, class FROM characters;
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER looks AFTER INSERT ON characters FOR EACH ROW EXECUTE FUNCTION look();
        ALTER TABLE characters DISABLE TRIGGER looks;
        COMMENT ON TABLE characters IS 'it''s ours'; COMMENT ON COLUMN characters."Note" IS 'a note';
        CREATE POLICY mine ON characters AS RESTRICTIVE FOR UPDATE TO {role} USING (level > 1) WITH CHECK (level > 2);
        CREATE POLICY yours ON characters USING (true);
        ALTER TABLE characters ENABLE ROW LEVEL SECURITY;
        CREATE PUBLICATION news FOR TABLE characters (id, name) WHERE (level > 3);
    """)
    try:
        looks = {
            "rows": "SELECT * FROM characters_scored ORDER BY id",
            "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
                           " WHERE conrelid = 'characters'::regclass ORDER BY 1",
            "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'characters'::regclass ORDER BY 1",
            "triggers": "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger"
                        " WHERE tgrelid = 'characters'::regclass AND NOT tgisinternal ORDER BY 1",
            "columns": "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attstorage, attidentity,"
                       " attgenerated, attcollation FROM pg_attribute WHERE attrelid = 'characters'::regclass"
                       " AND attnum > 0 AND NOT attisdropped ORDER BY 1",
            "defaults": "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid ="
                        " adrelid AND attnum = adnum WHERE adrelid = 'characters'::regclass ORDER BY 1",
            "privileges": "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
                          f" WHERE grantee = '{role}' ORDER BY 1, 2",
            "all privileges": "SELECT attname, a::text FROM pg_class AS c JOIN pg_attribute AS t ON attrelid = c.oid,"
                              " aclexplode(CASE attnum WHEN 1 THEN relacl ELSE attacl END) AS a"
                              " WHERE c.oid = 'characters'::regclass AND attnum > 0 ORDER BY attacl IS NULL, 2",
            "added": 'SELECT id, "Note", half, chief FROM characters ORDER BY id',
            "table": "SELECT reloptions, relreplident, relrowsecurity, relforcerowsecurity, relowner FROM pg_class"
                     " WHERE oid = 'characters'::regclass",
            "tuning": "SELECT attname, attstattarget FROM pg_attribute WHERE attrelid = 'characters'::regclass"
                      " AND attnum > 0 AND NOT attisdropped ORDER BY 1",
            "references": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'guests'::regclass",
            "statistics": "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext",
            "comments": "SELECT obj_description('characters'::regclass), col_description(attrelid, attnum) FROM pg_attribute"
                        " WHERE attrelid = 'characters'::regclass AND attname = 'Note'",
            "policies": "SELECT policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies ORDER BY 1",
            "publications": "SELECT pubname, attnames::text, rowfilter FROM pg_publication_tables ORDER BY 1",
            "packed": "SELECT id, stats_packed FROM characters ORDER BY id",
        }
        before = {what: pg.query(sql) for what, sql in looks.items()}
        assert len(before["privileges"]) == 4 and len(before["policies"]) == 2 and len(before["publications"]) == 1
        done = migrate(pg.url)
        assert done.returncode == 0, done.stderr
        for what, sql in looks.items():
            assert pg.query(sql) == before[what], what
        assert pg.value("INSERT INTO characters (server, name) VALUES ('S', 'n') RETURNING id") == 61
        assert pg.value("SELECT attname FROM pg_attribute WHERE attrelid = 'characters'::regclass"
                        " ORDER BY attnum DESC LIMIT 1") == "raw_payload"
    finally:
        pg.script(f"DROP OWNED BY {role}; DROP ROLE {role}")


BEFORE_SERVER_ROWS = """
INSERT INTO batch_runs (id, task_id, owner, state, rules_version) OVERRIDING SYSTEM VALUE
SELECT i, i::text, gen_random_uuid(), 'success', 1 FROM generate_series(1, 3) AS i;
INSERT INTO ranking_groups SELECT r, n, 'S' || n % 3, repeat('한', 60) || n
FROM generate_series(2, 3) AS r, generate_series(0, 99) AS n;
INSERT INTO ranking_boards SELECT r, s, now() - r * interval '1 hour', length(s) * r
FROM generate_series(2, 3) AS r, unnest(ARRAY['all', 'S0', 'S1', 'only a board']) AS s;
INSERT INTO server_stats
SELECT r, s, 7 * r, r, 2, 3, 4, 5, 6, 7, 9000000000, CASE s WHEN 'S1' THEN '{}' ELSE
       '{"S5": {"min_score": 9000000000, "count": 1}, "C3": {"min_score": 12, "count": 34}, "D1": {"min_score": 0, "count": 2}}'::jsonb END
FROM generate_series(1, 3) AS r, unnest(ARRAY['S0', 'S1', 'only stats']) AS s;
CREATE TABLE ranking_entries_3 PARTITION OF ranking_entries FOR VALUES IN (3);
INSERT INTO ranking_entries
SELECT 3, n, n, n, now(), pack_places(n, (n + 2) / 3), pack_places(1, 1), pack_traits(n - 1, n, n, n % 25, n % 2 = 0), 'c' || n
FROM generate_series(1, 100) AS n;
INSERT INTO ranking_state (run_id, generated_at, entries, previous_run_id) VALUES (3, now(), 100, 2);
"""


def test_rows_of_servers_are_merged(pg_empty):
    """0008 makes one table of three, and SQL sees the three as before."""
    pg = pg_empty
    pg.script("CREATE TABLE ranking_servers ()")
    assert migrate(pg.url).returncode == 1  # everything up to that one
    role, reader = (f"{what}_{pg.value('SELECT md5(current_database())')}" for what in ("owner", "reader"))
    pg.script("DROP TABLE ranking_servers;" + BEFORE_SERVER_ROWS + f"""
        CREATE ROLE {role}; CREATE ROLE {reader};
        GRANT INSERT ON server_stats TO {reader} WITH GRANT OPTION; GRANT SELECT ON ranking_groups TO PUBLIC;
        GRANT SELECT (server, avg_hp) ON server_stats TO {reader}; GRANT SELECT ON ranking_boards TO {reader};
        ALTER TABLE ranking_boards OWNER TO {role}; DELETE FROM ranking_groups WHERE group_no = 70 AND run_id = 2;
    """)
    views = [f"SELECT * FROM {view} ORDER BY 1, 2" for view in (
        "ranking_groups", "ranking_boards", "server_stats", "ranking_rows", "ranking_snapshots")]
    before = [pg.query(sql) for sql in views]
    assert [len(rows) for rows in before] == [199, 8, 9, 100, 8]
    try:
        done = migrate(pg.url)
        assert done.returncode == 0, done.stderr
        assert [pg.query(sql) for sql in views] == before
        assert pg.value("SELECT max(cardinality(classes)) FROM ranking_group_lists") == 32
        assert dict(pg.query("SELECT relname, relowner::regrole::text FROM pg_class WHERE relname IN"
                             " ('ranking_servers', 'ranking_boards', 'server_stats')")) == {
                                 "ranking_servers": "postgres", "ranking_boards": role, "server_stats": "postgres"}
        assert set(pg.query("SELECT table_name, privilege_type, is_grantable FROM information_schema.role_table_grants"
                            " WHERE grantee IN (%s, 'PUBLIC') AND table_schema = 'public'", (reader,))) == {
                                ("server_stats", "INSERT", "YES"), ("ranking_servers", "INSERT", "YES"),
                                ("ranking_boards", "SELECT", "NO"), ("ranking_servers", "SELECT", "NO"),
                                ("ranking_groups", "SELECT", "NO"), ("ranking_group_lists", "SELECT", "NO")}
        conn = pg.connect()
        with conn.cursor() as cur:
            cur.execute(f"SET ROLE {reader}")
            for sql in ("SELECT max(avg_hp), max(server) FROM server_stats", "SELECT count(*) FROM ranking_boards",
                        "SELECT count(*) FROM ranking_groups"):
                cur.execute(sql)
        conn.close()
        pg.query("DELETE FROM batch_runs WHERE id < 3")
        assert pg.query("SELECT DISTINCT run_id FROM ranking_servers") == [(3,)]
    finally:
        pg.script(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}, {reader}; DROP ROLE {role}, {reader}")


def test_several_migrators_at_once(pg_empty):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: migrate(pg_empty.url), range(4)))
    assert [r.returncode for r in runs] == [0] * 4, [r.stderr for r in runs]
    applied = [line for r in runs for line in r.stdout.splitlines() if line.startswith("applied")]
    assert len(applied) == len(own_migrations())


def test_waits_for_another_migrator_and_gives_up(pg_empty):
    other = pg_empty.connect()
    with other.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    done = migrate(pg_empty.url, "--wait", "1")
    other.close()
    assert done.returncode == 1
    assert "still running after 1 s" in done.stderr
    assert pg_empty.value("SELECT to_regclass('schema_migrations')") is None


def test_waits_for_another_migrator_until_it_is_done(pg_empty, spawn):
    other = pg_empty.connect()
    with other.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    waiting = spawn("aion2ctl", env={"DATABASE_URL": pg_empty.url}, args=["migrate"])
    waiting.wait_log("waiting for it")
    other.close()
    assert waiting.wait() == 0
    assert states(pg_empty.url)[0] == 0


def test_database_down():
    done = migrate("postgresql://127.0.0.1:1/nobody")
    assert done.returncode == 69
    assert "PostgreSQL" in done.stderr


@pytest.mark.parametrize("args", [["--wait", "0"], ["--wait", "soon"], ["more"], ["--nonsense"]])
def test_wrong_usage(args):
    assert migrate("postgresql://127.0.0.1:1/nobody", *args).returncode == 64


def embed(folder, files):
    """Runs a copy of migrations/embed.sh on files of our own."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copy(harness.REPO / "migrations" / "embed.sh", folder)
    return subprocess.run(["sh", folder / "embed.sh"], capture_output=True, encoding="utf-8",
                          check=False)


def test_migrations_are_embedded_byte_by_byte(tmp_path):
    files = {
        "0001_a.sql": "SELECT '\\d \"x\" ''y'' ??= ?| \t한글';\nDO $$ BEGIN\n\nEND $$;\n",
        "0002_b.sql": "-- %s \\n\n",
    }
    done = embed(tmp_path, files)
    assert done.returncode == 0, done.stderr
    (tmp_path / "m.c").write_text(
        done.stdout + "#include <stdio.h>\nint main(void) {"
        " for (int i = 0; i < SCHEMA_MIGRATION_COUNT; i++)"
        "  printf(\"%d %s %s\\n%s\", SCHEMA_MIGRATIONS[i].version, SCHEMA_MIGRATIONS[i].name,"
        "   SCHEMA_MIGRATIONS[i].checksum, SCHEMA_MIGRATIONS[i].sql); return 0; }\n",
        encoding="utf-8")
    include = subprocess.run(["pkg-config", "--cflags", "libpq"], capture_output=True, text=True,
                             check=True).stdout.split()
    subprocess.run(["cc", "-std=c11", f"-I{harness.REPO}", *include, "-o", tmp_path / "m",
                    tmp_path / "m.c"], check=True)
    printed = subprocess.run([tmp_path / "m"], capture_output=True, encoding="utf-8", check=True)
    assert printed.stdout == "".join(
        f"{i} {name[:-4]} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
        for i, (name, text) in enumerate(files.items(), start=1))


@pytest.mark.parametrize("names", [["0002_a.sql"], ["0001_a.sql", "0003_b.sql"],
                                   ["0001_a.sql", "0001_b.sql"]])
def test_migrations_are_numbered_without_gaps(tmp_path, names):
    done = embed(tmp_path, {name: "SELECT 1;\n" for name in names})
    assert done.returncode != 0
    assert "expected number" in done.stderr
