"""Generations prepared beside the live one, so that publishing one is an instant."""
import time

COPY_RUN = """
    INSERT INTO batch_runs (task_id, owner, state, rules_version, finished_at, processed, failed,
                            servers, entries, result)
    SELECT gen_random_uuid()::text, gen_random_uuid(), state, rules_version, now(), processed,
           failed, servers, entries, result
    FROM batch_runs WHERE id = %s RETURNING id
"""
# Numbers only go into the text of these.
COPY_ENTRIES = """
    CREATE TABLE ranking_entries_{new} (LIKE ranking_entries_{old} INCLUDING STORAGE
                                        INCLUDING DEFAULTS INCLUDING INDEXES);
    INSERT INTO ranking_entries_{new} SELECT {new}, {columns} FROM ranking_entries_{old}
        ORDER BY character_id;
    ALTER TABLE ranking_entries ATTACH PARTITION ranking_entries_{new} FOR VALUES IN ({new});
"""
COPY_SIDE = "INSERT INTO {table} SELECT {new}, {columns} FROM {table} WHERE run_id = {old};"
PUBLISH = """
    BEGIN;
    UPDATE ranking_state SET previous_run_id = run_id, run_id = {run_id}, generated_at = now();
    UPDATE ranking_servers SET generated_at = now() WHERE run_id = {run_id} AND total IS NOT NULL;
    NOTIFY aion2_ranking, '{run_id}';
    COMMIT;
"""


def _columns_after_run_id(database, table):
    rows = database.query("""SELECT quote_ident(attname) FROM pg_attribute
                             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
                                   AND attname <> 'run_id' ORDER BY attnum""", (table,))
    return ", ".join(name for (name,) in rows)


def prepare(database, count):
    """Copies the live generation count times; returns the ids, not yet published."""
    old = int(database.value("SELECT run_id FROM ranking_state"))
    return [_copy(database, old) for _ in range(count)]


def _copy(database, old):
    new = int(database.value(COPY_RUN, (old,)))
    database.script(COPY_ENTRIES.format(
        new=new, old=old, columns=_columns_after_run_id(database, "ranking_entries")))
    database.query(f"VACUUM (FREEZE, ANALYZE) ranking_entries_{new}")
    for table in ("ranking_group_lists", "ranking_servers"):
        database.script(COPY_SIDE.format(table=table, new=new, old=old,
                                         columns=_columns_after_run_id(database, table)))
    return new


def publish(database, run_id):
    """Makes a prepared generation the live one, as the batch does at its end.

    Returns the moment of the commit, as time.perf_counter() has it.
    """
    conn = database.connect()
    with conn.cursor() as cur:
        cur.execute(PUBLISH.format(run_id=run_id))
        committed = time.perf_counter()
    conn.close()
    return committed
