"""Everything the pages need, for the tests, the screenshots and the measurements: a database with a
board of made-up characters, a past, and aion2-api in front of it.

    python3 test/browser/stack.py [COUNT]    starts one, prints its address, waits for Ctrl-C
"""

import shutil
import signal
import sys
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402
from servers import Postgres, Redis  # noqa: E402

BATCH = "app.worker.calculate_power_and_rank_batch"
SERVERS = 42
DAYS = 45

# Names as players might send them; all of them are text.
HOSTILE = (
    "<img src=x onerror=window.hacked=1>",
    "\"'><script>window.hacked=1</script>",
    "{{name}}</title><svg onload=window.hacked=1>",
    "\u202egnp.exe\u2066 \u200f\u0645\u0631\u062d\u0628\u0627",
    "W" * 64,
    "가" * 64,
)

# Stronger than anybody on their server, so that hostile names are seen on the first page.
_HOSTILE_SQL = """
INSERT INTO characters (server, name, class, level, power, stats_payload, last_fetched_at)
SELECT server, %s, class, level, power,
       stats_payload || jsonb_build_object('attack', (stats_payload->>'attack')::bigint * 2), now()
FROM characters WHERE server = %s AND stats_payload IS NOT NULL ORDER BY power DESC NULLS LAST LIMIT 1
"""

# A point a day of the best, wandering a little.
_HISTORY_SQL = """
INSERT INTO character_history
SELECT (now() AT TIME ZONE 'Asia/Seoul')::date - d, character_id, power * (1000 - d * 3) / 1000,
       power_score - d * 2 + (hashint8(character_id + d) % 9), rank + d * 40, server_rank + d, class_rank + d * 3
FROM ranking_current, generate_series(1, {days}) AS d WHERE rank <= 2000
"""

# What the source would have told of the best.
_READ_SQL = """
UPDATE characters SET last_fetched_at = now() - (id % 600 + 90) * interval '1 second', item_level = 2900 + id % 900,
       legion = (ARRAY['달의노래', '새벽기사단', '은빛날개', 'Moonlight'])[1 + id % 4]
WHERE id IN (SELECT character_id FROM ranking_current WHERE rank <= 2000)
"""


class Stack:
    """Owns its servers; close() ends them."""

    def __init__(self, count=100_000, servers=SERVERS, hostile=HOSTILE):
        self.dir = harness.make_temp_dir()
        self.cluster = Postgres(options={"shared_buffers": "128MB", "synchronous_commit": "off"})
        self.redis = Redis()
        self.pg = self.cluster.create_database()
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "DATABASE_URL": self.pg.url,
            "REDIS_URL": self.redis.url,
            "API_LISTEN": f"127.0.0.1:{self.port}",
            "API_THREADS": "2",
            "STATE_DIR": str(self.dir),
            "SOURCE_ADAPTER": "dummy",
        }
        self.api = None
        self._fill(count, servers, hostile)
        self.start_api()

    # ---- data ----

    def _fill(self, count, servers, hostile):
        harness.run_program("aion2ctl", "migrate", env=self.env, check=True)
        self._import(count, servers)
        self.server = "Siel"
        for name in hostile:
            self.pg.query(_HOSTILE_SQL, (name, self.server))
        self.batch()
        # Some became stronger since: ranks change.
        self.pg.query("UPDATE characters SET stats_payload = stats_payload || jsonb_build_object("
                      "'attack', (stats_payload->>'attack')::bigint * 103 / 100) WHERE id % 7 = 0")
        self.pg.query(_READ_SQL)
        self._make_history()
        self.batch()

    def _import(self, count, servers):
        made = harness.run_program("aion2ctl", "generate", "--count", count, "--servers", servers, check=True)
        harness.run_program("aion2ctl", "import", "-", "--quiet", env=self.env, stdin=made.stdout, timeout=180,
                            check=True)

    def _make_history(self):
        for d in range(1, DAYS + 1):
            self.pg.query(
                f"DO $$ DECLARE day date := (now() AT TIME ZONE 'Asia/Seoul')::date - {d}; BEGIN EXECUTE format("
                "'CREATE TABLE IF NOT EXISTS character_history_%s PARTITION OF character_history FOR VALUES IN (%L)',"
                " to_char(day, 'YYYYMMDD'), day); END $$")
        self.pg.query(_HISTORY_SQL.format(days=DAYS))

    def batch(self):
        """A new ranking."""
        harness.run_program("aion2-worker", "--run", BATCH, env=self.env, check=True, timeout=120)

    # ---- the api ----

    def start_api(self):
        self.api = harness.Program("aion2-api", (), self.env, self.dir / "api.log")
        harness.wait_for(self._answers, 30, "the board being served")

    def stop_api(self):
        self.api.stop()

    def second_api(self):
        """Another one, of a database without any ranking; close() it."""
        return _Unranked(self)

    def _answers(self):
        with urllib.request.urlopen(f"{self.url}/api/ranking/top?limit=1", timeout=5) as r:
            return r.status == 200 and b'"is_snapshot":true' in r.read()

    def character_url(self, server, name, **more):
        return f"{self.url}/character?" + urllib.parse.urlencode({"server": server, "name": name, **more})

    def close(self):
        if self.api:
            self.api.destroy()
        self.redis.destroy()
        self.cluster.destroy()
        shutil.rmtree(self.dir, ignore_errors=True)


class _Unranked:
    """Some characters, and no batch yet."""

    def __init__(self, stack):
        self.pg = stack.cluster.create_database()
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**stack.env, "DATABASE_URL": self.pg.url, "API_LISTEN": f"127.0.0.1:{self.port}", "STATE_DIR": ""}
        harness.run_program("aion2ctl", "migrate", env=self.env, check=True)
        harness.run_program("aion2ctl", "import", harness.TEST_DATA / "characters.csv", "--quiet", env=self.env, check=True)
        self.api = harness.Program("aion2-api", (), self.env, stack.dir / "unranked.log")
        harness.wait_for(lambda: harness.port_open(self.port), 30, "the second api answering")

    def close(self):
        self.api.destroy()
        self.pg.drop()


def main():
    stack = Stack(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    print(stack.url, flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        stack.close()


if __name__ == "__main__":
    main()
