"""A population of made-up characters, the same for every competitor of a run."""
import subprocess

from harness import clean_env
import rig

PAYLOAD_BYTES = 1000
SERVERS = 40


def create(bench, count):
    """A new database with count characters, loaded with the project's own commands."""
    database = bench.postgres.create_database()
    env = clean_env(bench.env(database))
    ctl = rig.BIN / "aion2ctl"
    subprocess.run([ctl, "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    log = bench.folder / "import.log"
    with open(log, "wb") as out, subprocess.Popen(
            [ctl, "generate", "--count", str(count), "--servers", str(SERVERS),
             "--payload-bytes", str(PAYLOAD_BYTES)],
            stdout=subprocess.PIPE, stderr=out, env=env) as source:
        done = subprocess.run([ctl, "import", "-"], stdin=source.stdout, stdout=out, stderr=out,
                              env=env, check=False)
        source.stdout.close()
    if source.returncode or done.returncode:
        raise rig.BenchError(f"loading the population failed:\n{log.read_text()[-2000:]}")
    settle(database, "characters")
    return database


def settle(database, table):
    """VACUUM, statistics and a checkpoint, so that nothing earlier is left to be paid for."""
    database.query(f"VACUUM (ANALYZE) {table}")
    database.query("CHECKPOINT")


def describe(database):
    """What a row looks like: how many, on how many servers, mean sizes as text."""
    row = database.query("""SELECT count(*), count(DISTINCT server),
                                   coalesce(avg(length(raw_payload::text)), 0)::int,
                                   coalesce(avg(length(stats_payload::text)), 0)::int,
                                   avg(pg_column_size(c))::int
                            FROM characters AS c""")[0]
    keys = ("characters", "servers", "raw_payload_bytes", "stats_payload_bytes", "row_bytes")
    return dict(zip(keys, row))
