"""The batch: from the push of the task message to its published result."""
import base64
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import threading
import time
import uuid

from harness import children_of, clean_env, start_process, wait_for
import population
import rig
from figures import Figure, Goal, Row

PART = "The batch, from push to result"
TASK = "app.worker.calculate_power_and_rank_batch"
RESULT_TIMEOUT_S = 1800
HERE = pathlib.Path(__file__).resolve().parent

# Figures that have a goal, and the population for which it holds.
GOAL_SIZE = 1_000_000
GOAL_INPLACE = Goal(at_most=1 / 8, text="<= 1/8")
GOAL_CELERY = Goal(at_most=1 / 100, text="<= 1/100")
GOAL_MEMORY = Goal(at_most=200, text="<= 200 MB")
GOAL_GROWTH = Goal(at_most=1.3, text="<= 1.30")
CELERY_MAX_SIZE = 10_000
# Runs with the additional index: information only, and slow.
INDEXED_RUNS = 2


# -- ours -------------------------------------------------------------------------------------

def task_message(task_id):
    """The message of a Celery client for the batch, as bytes on the list."""
    body = base64.b64encode(b'[[], {}, {"callbacks": null, "errbacks": null, '
                            b'"chain": null, "chord": null}]').decode()
    return json.dumps({
        "body": body, "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": task_id, "eta": None, "expires": None,
                    "retries": 0, "timelimit": [None, None], "root_id": task_id,
                    "parent_id": None, "argsrepr": "()", "kwargsrepr": "{}"},
        "properties": {"correlation_id": task_id, "reply_to": str(uuid.uuid4()),
                       "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
                       "delivery_info": {"exchange": "", "routing_key": "celery"},
                       "delivery_tag": str(uuid.uuid4())}})


def run_batch(client):
    """Pushes the task, waits for the published result: seconds and the result."""
    task_id = str(uuid.uuid4())
    with client.pubsub() as channel:
        channel.subscribe(f"celery-task-meta-{task_id}")
        wait_for(lambda: channel.get_message(timeout=1), 10, "the subscription")
        message = task_message(task_id)
        start = time.perf_counter()
        client.lpush("celery", message)
        answer = next_message(channel)
        seconds = time.perf_counter() - start
    document = json.loads(answer["data"])
    if document["status"] != "SUCCESS" or document["result"]["status"] != "success":
        raise rig.BenchError(f"the batch ended with {document}")
    return seconds, document["result"]


def next_message(channel):
    deadline = time.monotonic() + RESULT_TIMEOUT_S
    while time.monotonic() < deadline:
        message = channel.get_message(timeout=1)
        if message:
            return message
    raise rig.BenchError("no result was published")


def memory_of(pids, file, key):
    """Sum of a kB line of /proc/<pid>/<file> over the processes, in MB."""
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/{file}").read_text("ascii").splitlines():
                if line.startswith(key + ":"):
                    total_kb += int(line.split()[1])
    return total_kb / 1024


class MemoryWatch(threading.Thread):
    """Samples the memory of a worker and its children every 10 ms; peak_mb is of all together."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.done = threading.Event()
        self.peak_mb = 0.0

    def run(self):
        while True:
            pids = [self.pid, *children_of(self.pid)]
            self.peak_mb = max(self.peak_mb, memory_of(pids, "smaps_rollup", "Pss"))
            if self.done.wait(0.01):
                return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.done.set()
        self.join()


def measure_memory(worker, client):
    """Peak of the worker in MB: sampled over a run of its own, and the sum of the high marks."""
    with MemoryWatch(worker.pid) as watch:
        run_batch(client)
    return watch.peak_mb, memory_of([worker.pid, *children_of(worker.pid)], "status", "VmHWM")


# After its answer a batch indexes its generation and drops the one that nobody reads any more.
AFTER_WORK_DONE = """
    SELECT EXISTS (SELECT FROM ranking_state AS s JOIN pg_index AS i
                   ON i.indrelid = ('ranking_entries_' || s.run_id)::regclass)
           AND NOT EXISTS (SELECT FROM pg_stat_activity
                           WHERE application_name = 'aion2-worker after')
"""


def wait_after_work(database):
    """Seconds until the last batch keeps PostgreSQL busy no more: the next turn is a peer's."""
    start = time.perf_counter()
    wait_for(lambda: database.value(AFTER_WORK_DONE), 60, "the work after the batch")
    return time.perf_counter() - start


# -- peer: one UPDATE ---------------------------------------------------------------------------

# Its rows are stored as an import would have stored them: a copy of a compressed value would stay
# compressed, and `#> '{}'` is the same value, unpacked.
PEER_COLUMNS = ("id, server, name, class, level, power, stats_payload, last_fetched_at, created_at,"
                " updated_at, legion, item_level, source_id, fetch_failed_at, fetch_error,"
                " raw_payload #> '{}'")
INPLACE_TABLE = f"""
    CREATE SCHEMA IF NOT EXISTS peer;
    CREATE TABLE peer.characters_inplace (LIKE characters INCLUDING STORAGE,
        power_score bigint, power_rank varchar(2), percentile double precision,
        server_rank integer, last_scored_at timestamptz);
    ALTER TABLE peer.characters_inplace DROP COLUMN stats_packed;
    INSERT INTO peer.characters_inplace SELECT {PEER_COLUMNS} FROM characters;
    ALTER TABLE peer.characters_inplace ADD PRIMARY KEY (id), ADD UNIQUE (server, name);
"""
INPLACE_INDEX = """CREATE INDEX characters_inplace_board_idx
                   ON peer.characters_inplace (server, power_score DESC)"""
# Rows on which we and the peer do not agree; it may round a percentile the other way.
INPLACE_DIFFERENCES = """
    SELECT count(*) FROM ranking_current AS r
    FULL JOIN (SELECT * FROM peer.characters_inplace WHERE power_score IS NOT NULL) AS p
         ON p.id = r.character_id
    WHERE (r.power_score, r.server_rank) IS DISTINCT FROM (p.power_score, p.server_rank)
          OR abs(r.percentile - p.percentile) > 0.011
          OR (r.percentile = p.percentile AND r.power_rank <> p.power_rank)
"""


def warm(database, table):
    """Reads a competitor's table into memory before its turn: alone on a server, it would be there,
    and the other one's table would not have pushed it out."""
    database.query("SELECT pg_prewarm(%s::regclass)", (table,))


def run_inplace(database):
    """Seconds of the statement with its commit.

    Vacuumed after it (not timed), so that the next one reuses the space of the dead rows and
    autovacuum has no reason to disturb anybody's next run.
    """
    database.query("CHECKPOINT")
    warm(database, "peer.characters_inplace")
    statement = (HERE / "inplace.sql").read_text(encoding="utf-8")
    conn = database.connect()
    with conn.cursor() as cur:
        start = time.perf_counter()
        cur.execute(statement)
        seconds = time.perf_counter() - start
    conn.close()
    population.settle(database, "peer.characters_inplace")
    return seconds


def check_agreement(database):
    differing = database.value(INPLACE_DIFFERENCES)
    if differing:
        raise rig.BenchError(f"{differing} characters have other results with the UPDATE: "
                             "it does not do the same work")


# -- peer: Celery and SQLAlchemy ------------------------------------------------------------------

def create_orm_tables(database, url):
    # pylint: disable=import-outside-toplevel
    from sqlalchemy import create_engine
    from peer_celery import models

    database.query(f"CREATE SCHEMA {models.SCHEMA}")
    engine = create_engine(url)
    models.Base.metadata.create_all(engine)
    engine.dispose()
    database.query(f"INSERT INTO {models.SCHEMA}.characters (id, server, name, class, level, power,"
                   " raw_payload, stats_payload, updated_at)"
                   " SELECT id, server, name, class, level, power, raw_payload #> '{}',"
                   " stats_payload, updated_at FROM characters")


def measure_celery(bench, database, runs):
    """Seconds of each run after a first one, from apply_async() to get()."""
    url = database.url.replace("postgresql:", "postgresql+psycopg2:")
    create_orm_tables(database, url)
    env = clean_env({"PEER_DATABASE_URL": url,
                     "PEER_REDIS_URL": bench.redis.url.removesuffix("/0") + "/1"})
    worker = start_process(
        [sys.executable, "-m", "celery", "-A", "peer_celery.app", "worker", "-c", "1",
         "-l", "warning"], bench.folder / "celery.log", env, cwd=HERE)
    client = subprocess.Popen([sys.executable, "-m", "peer_celery.client"], cwd=HERE, env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        seconds = [run_celery(client, database) for _ in range(runs + 1)]
    finally:
        client.terminate()
        client.wait()
        worker.terminate()
        worker.wait()
    check_celery(database)
    return seconds[1:]


def run_celery(client, database):
    database.query("CHECKPOINT")
    warm(database, "peer_orm.characters")
    client.stdin.write("run\n")
    client.stdin.flush()
    status, _, seconds = client.stdout.readline().partition(" ")
    if status != "success":
        raise rig.BenchError(f"the Celery peer ended with {status!r}")
    population.settle(database, "peer_orm.characters")
    return float(seconds)


def check_celery(database):
    differing = database.value("""
        SELECT count(*) FROM ranking_current AS r JOIN peer_orm.characters AS p
             ON p.id = r.character_id
        WHERE r.power_score IS DISTINCT FROM p.power_score
              OR abs(r.percentile - p.percentile) > 0.011""")
    if differing:
        raise rig.BenchError(f"{differing} characters have other results with Celery")


# -- the table --------------------------------------------------------------------------------

def size_name(count):
    return f"{count // 1_000_000}M" if count % 1_000_000 == 0 else f"{count:,}"


def alternate(bench, database, runs, say):
    """Ours and the UPDATE in turns. Returns seconds of ours, after ours, of theirs, of our first,
    and the memory."""
    client = bench.redis.client()
    ours, after, theirs = [], [], []
    with bench.worker(database) as worker:
        database.query("CREATE EXTENSION pg_prewarm")
        first, _ = run_batch(client)
        wait_after_work(database)
        database.query(INPLACE_TABLE)
        population.settle(database, "peer.characters_inplace")
        run_inplace(database)
        check_agreement(database)
        for _ in range(runs):
            database.query("CHECKPOINT")
            warm(database, "characters")
            ours.append(run_batch(client)[0])
            after.append(wait_after_work(database))
            theirs.append(run_inplace(database))
            say(f"  ours {ours[-1]:.3f} s, UPDATE {theirs[-1]:.3f} s")
        memory = measure_memory(worker, client)
    return ours, after, theirs, first, memory


def measure_size(bench, database, count, runs, say):
    """All rows of one population."""
    ours, after, theirs, first, memory = alternate(bench, database, runs, say)
    steady = Figure(ours, "s")
    name = size_name(count)
    phases = database.value("SELECT phases FROM batch_runs ORDER BY id DESC LIMIT 1")
    rows = [Row(PART, f"{name} characters", steady, "one UPDATE in place", Figure(theirs, "s"),
                GOAL_INPLACE if count >= GOAL_SIZE else None,
                note=f"for {statistics.median(after):.2f} s after the answer the worker indexes the "
                     "generation and drops an old one; this is not in the figure",
                extra={"size": count, "first_s": first, "phases_s": phases})]
    if count >= GOAL_SIZE:
        database.query(INPLACE_INDEX)
        indexed = [run_inplace(database) for _ in range(min(runs, INDEXED_RUNS))]
        rows.append(Row(PART, f"{name} characters", steady,
                        "the same UPDATE, with an index on (server, power_score)",
                        Figure(indexed, "s")))
    database.query("DROP SCHEMA peer CASCADE")
    if count <= CELERY_MAX_SIZE:
        rows.append(Row(PART, f"{name} characters", steady, "Celery and SQLAlchemy",
                        Figure(measure_celery(bench, database, runs), "s"),
                        GOAL_CELERY if count == CELERY_MAX_SIZE else None))
        database.query("DROP SCHEMA peer_orm CASCADE")
    rows.append(Row(PART, f"{name} characters, first batch ever", Figure([first], "s")))
    rows.append(Row(PART, f"peak memory of the worker, {name} characters",
                    Figure([memory[1]], "MB"), goal=GOAL_MEMORY if count >= GOAL_SIZE else None,
                    note=f"sum of VmHWM of all its processes; sampled every 10 ms, all together "
                         f"had at most {memory[0]:.0f} MB (PSS)"))
    return rows


def growth_row(rows):
    """Cost per character at the largest population against the one a tenth of it, or None."""
    by_size = {row.extra["size"]: row.ours for row in rows if "size" in row.extra}
    large = max(by_size)
    small = large // 10
    if small not in by_size:
        return None

    def per_character(size):
        return Figure([s / size * 1e6 for s in by_size[size].values], "us")

    return Row(PART, f"cost per character, {size_name(large)}", per_character(large),
               f"ours at {size_name(small)}", per_character(small),
               GOAL_GROWTH if large >= GOAL_SIZE else None)
