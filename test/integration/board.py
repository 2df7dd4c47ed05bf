"""What the tests of aion2-api share: a client that sees the raw answer, and generations made by SQL."""

import gzip
import http.client
import json
import socket
import uuid
from urllib.parse import quote

import harness

TIERS = ("S1", "A3", "B2", "C5", "D1")


class Answer:
    """Status, headers (names in lower case) and body of one answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {}
        for k, v in headers:  # a header that comes twice is one list
            k = k.lower()
            self.headers[k] = f"{self.headers[k]}, {v}" if k in self.headers else v
        self.body = body

    @property
    def json(self):
        body = self.body
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return json.loads(body)

    def problem(self, status, param=None):
        """Checks that this is a well-formed problem document; returns its detail."""
        assert self.status == status, (self.status, self.body)
        assert self.headers["content-type"] == "application/problem+json"
        doc = self.json
        assert doc["type"] == "about:blank" and doc["title"] and doc["status"] == status
        assert doc.get("param") == param, doc
        for secret in ("SELECT", "postgres", "/", "\\n"):
            assert secret not in doc["detail"], doc
        return doc["detail"]


class Api:
    """A running aion2-api."""

    def __init__(self, spawn, url, state_dir="", **settings):
        self.port = harness.free_port()
        self.env = {
            "DATABASE_URL": url,
            "API_LISTEN": f"127.0.0.1:{self.port}",
            "STATE_DIR": str(state_dir),
            "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody; those who search name theirs
            "ADMIN_SOCKET": "off",
            "API_THREADS": "2",
            **{k: str(v) for k, v in settings.items()},
        }
        self.program = spawn("aion2-api", env=self.env)
        self.wait_ready()

    def wait_ready(self):
        harness.wait_for(
            lambda: harness.port_open(self.port) or self.program.must_run(), 30, "the api answering"
        )

    def connect(self, timeout=10):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, path, method="GET", headers=None, body=None, conn=None):
        own = conn or self.connect()
        try:
            own.request(method, path, body=body, headers=headers or {})
            r = own.getresponse()
            return Answer(r.status, r.getheaders(), r.read())
        finally:
            if conn is None:
                own.close()

    def get(self, path, **headers):
        return self.ask(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def json(self, path):
        a = self.get(path)
        assert a.status == 200, (path, a.status, a.body)
        return a.json

    def socket(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, data):
        """Sends bytes, returns everything until the service closes."""
        with self.socket() as s:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it refused before reading all; its answer is there
            out = b""
            while chunk := s.recv(65536):
                out += chunk
            return out

    def wait_run(self, run_id, timeout=10):
        """Until the board shows this generation."""
        harness.wait_for(
            lambda: (self.json("/api/ranking/top?limit=1")["snapshot"] or {}).get("id") == run_id,
            timeout,
            f"generation {run_id} being served",
        )


def character_path(server, name):
    return f"/api/character?server={quote(server, safe='')}&name={quote(name, safe='')}"


def add_characters(pg, rows):
    """rows: (server, name, class, level, power, stats text or None) each; returns the ids."""
    conn = pg.connect()
    try:
        with conn.cursor() as cur:
            ids = []
            for row in rows:
                cur.execute(
                    "INSERT INTO characters (server, name, class, level, power, stats_payload,"
                    " last_fetched_at) VALUES (%s, %s, %s, %s, %s, %s,"
                    " '2025-12-31 21:36:00.742745+00') RETURNING id",
                    row,
                )
                ids.append(cur.fetchone()[0])
            return ids
    finally:
        conn.close()


B2 = 13  # of tier_name()

# Ranks by score as the batch makes them; every character gets the score that `score` says.
_GROUPS = """
INSERT INTO ranking_group_lists
SELECT {run}, n / 32, array_agg(server ORDER BY n), array_agg(class ORDER BY n)
FROM (SELECT server, class, row_number() OVER () - 1 AS n
      FROM (SELECT DISTINCT server, class FROM characters WHERE {where}) AS d) AS c GROUP BY n / 32
"""
_FILL = """
INSERT INTO ranking_entries_{run}
SELECT {run}, c.id, c.power, s, now(),
       pack_places(
           (row_number() OVER (ORDER BY s DESC, power DESC NULLS LAST, level DESC, id))::integer,
           (row_number() OVER (PARTITION BY c.server ORDER BY s DESC, power DESC NULLS LAST,
                               level DESC, id))::integer),
       pack_places(1, 1), pack_traits(g.group_no, level, 5000, %s, false), name
FROM (SELECT *, {score} AS s FROM characters WHERE {where}) AS c
     JOIN ranking_groups AS g ON (g.run_id, g.server, g.class) = ({run}, c.server, c.class)
"""


def publish(pg, score="1000 - id", where="true", tier=B2, drop_older=False):
    """A generation in one transaction, as the batch publishes it. Returns the run's id."""
    conn = pg.connect(autocommit=False)
    try:
        with conn.cursor() as cur:
            cur.execute(
                "INSERT INTO batch_runs (task_id, owner, state, rules_version)"
                " VALUES (%s, %s, 'success', 1) RETURNING id",
                (str(uuid.uuid4()), str(uuid.uuid4())),
            )
            run = cur.fetchone()[0]
            cur.execute(f"CREATE TABLE ranking_entries_{run} (LIKE ranking_entries)")
            cur.execute(_GROUPS.format(run=run, where=where))
            cur.execute(_FILL.format(run=run, score=score, where=where), (tier,))
            entries = cur.rowcount
            cur.execute(
                f"ALTER TABLE ranking_entries ATTACH PARTITION ranking_entries_{run}"
                f" FOR VALUES IN ({run})"
            )
            cur.execute(
                "INSERT INTO ranking_state (run_id, generated_at, entries)"
                " VALUES (%s, clock_timestamp(), %s) ON CONFLICT (only_row) DO UPDATE"
                " SET previous_run_id = ranking_state.run_id, run_id = excluded.run_id,"
                " generated_at = excluded.generated_at, entries = excluded.entries",
                (run, entries),
            )
            cur.execute("SELECT pg_notify('aion2_ranking', %s)", (str(run),))
        conn.commit()
        if drop_older:
            drop_before(conn, run - 1)
        return run
    finally:
        conn.close()


def drop_before(conn, run):
    with conn.cursor() as cur:
        cur.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'ranking_entries'::regclass"
        )
        for (name,) in cur.fetchall():
            if int(name.rsplit("_", 1)[1]) < run:
                cur.execute(f"DROP TABLE {name}")
    conn.commit()


SIX = [
    ("Siel", "나무꾼", "Warrior", 38, 426124, '{"hp": 13474, "attack": 409}'),
    ("Siel", 'Quote"Back\\slash', "Ranger", 45, 470955, None),
    ("Siel", "Plus+And&Percent%", "", 45, None, "{}"),
    ("Zikel", "나무꾼", "Cleric", 50, 470955, '{"hp": 1}'),
    ("새 서버", "日本 & co", "Chanter", 12, 7, '{"hp": 1.5}'),
    ("Zikel", "Last", "Cleric", 1, None, None),
]
