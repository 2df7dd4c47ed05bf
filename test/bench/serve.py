"""The api: beside nginx with the same bytes, and while generations change."""
import contextlib
import http.client
import itertools
import json
import pathlib
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass

from harness import free_port, wait_for
from servers import Database
import generations
import rig
import slowclients
import wrk
import questions
from batch import GOAL_SIZE, memory_of, run_batch
from figures import Figure, Goal, Row

PART_RATE = "The api: requests per second, 64 connections"
PART_ANSWERS = "The api: questions about characters, requests per second, 64 connections"
PART_SINGLE = "The api: one request after the other, median latency"
PART_CHANGE = "The api: a new generation"

NGINX = "nginx, file of the same bytes"
TOP = "/api/ranking/top?limit=20"
PAGE_SIZE = 20
FILES = 2000
SINGLE_SECONDS = 3
PUBLICATIONS = 5
CHANGE_RUNS = 3

GOAL_TOP = Goal(at_least=0.75, text=">= 0.75")
GOAL_PAGES = Goal(at_least=0.5, text=">= 0.50")
GOAL_P99 = Goal(at_most=5, text="<= 5")
GOAL_SERVED = Goal(at_most=1, text="<= 1 s")
GOAL_MEMORY = Goal(at_most=300, text="<= 300 MB")
GOAL_MEMORY_SLOW = Goal(at_most=400, text="<= 400 MB")


class Api:
    """A running aion2-api and one kept connection to it."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.port = port
        self.pid = 0
        self.connection = None

    def get(self, path):
        """Body and headers of a 200; anything else raises."""
        try:
            status, body, headers = self._ask(path)
        except (OSError, http.client.HTTPException):
            # The kept connection was idle for too long: once more on a new one.
            self.connection = None
            status, body, headers = self._ask(path)
        if status != 200:
            raise http.client.HTTPException(f"{path}: {status}")
        return body, headers

    def _ask(self, path):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def etag(self):
        return self.get("/api/ranking/top?limit=1")[1]["ETag"]

    def has_board(self):
        try:
            return json.loads(self.get(TOP)[0])["is_snapshot"]
        except (OSError, http.client.HTTPException):
            return False


@contextlib.contextmanager
def running_api(bench, database):
    api = Api(free_port())
    env = {**bench.env(database), "LOG_LEVEL": "info", "API_LISTEN": f"127.0.0.1:{api.port}",
           "ADMIN_LISTEN": f"127.0.0.1:{free_port()}", "API_THREADS": "2",
           "STATE_DIR": str(bench.folder / "state")}
    (bench.folder / "state").mkdir(exist_ok=True)
    log = bench.folder / "aion2-api.log"
    with bench.program("aion2-api", env, api.has_board) as process:
        api.pid = process.pid
        wait_for(lambda: "event=details.loaded" in log.read_text(encoding="utf-8"), 120,
                 "what is known of every character")
        yield api


# -- the same bytes for nginx -------------------------------------------------------------------

class Mirror:
    """Files with the bytes that the api answers with, for nginx to serve."""

    def __init__(self, api, root):
        self.root = root
        (root / "page").mkdir(parents=True)
        first = json.loads(api.get(page_path(1))[0])
        self.pages = first["total_pages"]
        self.characters = first["total"]
        deep = page_path(self.pages * 3 // 4)
        character = json.loads(api.get(deep)[0])["items"][0]
        # What is asked of ours -> the file with the same bytes.
        self.paths = {}
        for name, path in [("top.json", TOP), ("deep.json", deep),
                           ("character.json", character_path(character))]:
            self.paths[path] = f"/{name}"
            (root / name).write_bytes(api.get(path)[0])
        step = max(1, self.pages // FILES)
        self.sample = []
        for number in range(1, FILES + 1):
            body, _ = api.get(page_path((number * step - 1) % self.pages + 1))
            (root / "page" / f"{number}.json").write_bytes(body)
            self.sample.append(json.loads(body)["items"][number % PAGE_SIZE - 1])

    def draws(self):
        """Random pages of ours over the whole board, and random files."""
        return (wrk.Draw("/api/ranking?page=", self.pages, f"&page_size={PAGE_SIZE}"),
                wrk.Draw("/page/", FILES, ".json"))


@dataclass
class Stage:
    """What the measurements of the api work with."""
    bench: rig.Rig
    database: Database
    api: Api
    mirror: Mirror
    runs: int
    seconds: int


def page_path(number):
    return f"/api/ranking?page={number}&page_size={PAGE_SIZE}"


def character_path(item):
    return "/api/character?" + urllib.parse.urlencode(
        {"server": item["server"], "name": item["name"]}, quote_via=urllib.parse.quote)


def check_same_bytes(api, nginx, mirror):
    for ours, theirs in mirror.paths.items():
        with urllib.request.urlopen(nginx + theirs, timeout=10) as answer:
            if answer.read() != api.get(ours)[0]:
                raise rig.BenchError(f"nginx does not send the bytes of {ours}")


def alternate(runs, ours, theirs, pick):
    """ours() and theirs() in turns; the figure that pick() takes of each outcome."""
    pairs = [(pick(ours()), pick(theirs())) for _ in range(runs)]
    return [list(side) for side in zip(*pairs)]


def measure_rates(stage, nginx):
    api, mirror = stage.api, stage.mirror
    rows = []
    cases = [("top 20 of everybody", TOP, mirror.paths[TOP], GOAL_TOP),
             (f"random page of {mirror.pages:,}", *mirror.draws(), GOAL_PAGES)]
    for what, our_path, their_path, goal in cases:
        ours, theirs = alternate(stage.runs,
                                 lambda p=our_path: wrk.run(api.base, p, stage.seconds),
                                 lambda p=their_path: wrk.run(nginx, p, stage.seconds),
                                 lambda outcome: outcome.per_second)
        rows.append(Row(PART_RATE, what, Figure(ours, "/s"), NGINX, Figure(theirs, "/s"), goal,
                        of_pairs=True))
    return rows


def measure_answers(stage, nginx):
    """Each kind of question about characters drawn from the whole board."""
    rows = []
    for question in questions.ALL:
        ours, theirs = question.mirror(stage.api, stage.mirror.sample, stage.mirror.root)
        pairs = alternate(stage.runs,
                          lambda p=ours: wrk.run(stage.api.base, p, stage.seconds),
                          lambda p=theirs: wrk.run(nginx, p, stage.seconds),
                          lambda outcome: outcome.per_second)
        rows.append(Row(PART_ANSWERS, question.what, Figure(pairs[0], "/s"), NGINX,
                        Figure(pairs[1], "/s"), question.goal, of_pairs=True))
    return rows


def measure_single(stage, nginx):
    seconds = min(stage.seconds, SINGLE_SECONDS)
    rows = []
    names = ["top 20 of everybody", "page at three quarters of the board", "one character"]
    for what, (our_path, their_path) in zip(names, stage.mirror.paths.items()):
        ours, theirs = alternate(stage.runs,
                                 lambda p=our_path: wrk.run(stage.api.base, p, seconds, 1, 1),
                                 lambda p=their_path: wrk.run(nginx, p, seconds, 1, 1),
                                 lambda outcome: outcome.p50_us)
        rows.append(Row(PART_SINGLE, what, Figure(ours, "us"), NGINX, Figure(theirs, "us"),
                        of_pairs=True))
    return rows


def measure_whole(stage):
    """Requests that are large: each by itself, the time until its last byte."""
    api = stage.api
    items = [{"server": i["server"], "name": i["name"]} for i in stage.mirror.sample[:200]]
    many = urllib.request.Request(api.base + "/api/characters/batch",
                                  json.dumps({"characters": items}).encode(),
                                  {"Content-Type": "application/json"})
    board = urllib.request.Request(api.base + "/api/ranking.ndjson")
    return [Row(PART_SINGLE, what, Figure([_time_us(request) for _ in range(times)], "us"))
            for what, request, times in (("200 characters by one POST", many, 20),
                                         ("the whole board as NDJSON", board, 3))]


def _time_us(request):
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        while answer.read(1 << 20):
            pass
    return (time.perf_counter() - began) * 1e6


# -- generations that change --------------------------------------------------------------------

def processor_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_at_rest(api):
    """Until what follows a publication (names to look for, the stored copy) is done, as it is long
    before the next one in daily life."""
    def at_rest():
        before = processor_ticks(api.pid)
        time.sleep(0.3)
        return processor_ticks(api.pid) - before <= 1
    wait_for(at_rest, 60, "the api being at rest")


def publish_and_wait(api, database, run_id, every_s):
    """Seconds from the commit to the first answer of the new generation."""
    before = api.etag()
    committed = generations.publish(database, run_id)
    wait_for(lambda: api.etag() != before, 60, "the new generation being served", every_s)
    return time.perf_counter() - committed


def load_during(stage, run_ids, draw):
    """wrk while one generation after the other is loaded: its outcome and the number of loads."""
    load = wrk.Wrk(stage.api.base, draw, stage.seconds)
    loads = 0
    while load.running():
        publish_and_wait(stage.api, stage.database, next(run_ids), 0.02)
        loads += 1
    return load.outcome(), loads


def batch_during(stage, draw):
    """wrk while whole batches run beside it on the same machine: its outcome and their number."""
    client = stage.bench.redis.client()
    batches = 0
    with stage.bench.worker(stage.database):
        load = wrk.Wrk(stage.api.base, draw, stage.seconds)
        while load.running():
            run_batch(client)
            batches += 1
        return load.outcome(), batches


def measure_change(stage):
    draw, _ = stage.mirror.draws()
    run_ids = itertools.cycle(generations.prepare(stage.database, 2))
    stage.database.query("CHECKPOINT")
    served_s = []
    for _ in range(PUBLICATIONS):
        wait_at_rest(stage.api)
        served_s.append(publish_and_wait(stage.api, stage.database, next(run_ids), 0.001))
    quiet, loading, loads = [], [], 0
    for _ in range(min(stage.runs, CHANGE_RUNS)):
        quiet.append(wrk.run(stage.api.base, draw, stage.seconds).p99_us / 1e6)
        outcome, count = load_during(stage, run_ids, draw)
        loading.append(outcome.p99_us / 1e6)
        loads += count
    beside, batches = batch_during(stage, draw)
    return [
        Row(PART_CHANGE, "from its commit to being served", Figure(served_s, "s"), goal=GOAL_SERVED,
            note="one at a time, the api at rest before"),
        Row(PART_CHANGE, "99th percentile while generations are loaded", Figure(loading, "s"),
            "quiet", Figure(quiet, "s"), GOAL_P99,
            note=f"random pages, 64 connections; {loads} loads, one right after the other"),
        Row(PART_CHANGE, "99th percentile while whole batches run on the same cores",
            Figure([beside.p99_us / 1e6], "s"), "quiet", Figure(quiet, "s"),
            note=f"PostgreSQL and the worker share the cores with the api and wrk; "
                 f"{batches} batches"),
    ]


def memory_row(api, what, goal, part=PART_CHANGE):
    peak = memory_of([api.pid], "status", "VmHWM")
    now = memory_of([api.pid], "status", "VmRSS")
    return Row(part, what, Figure([peak], "MB"), goal=goal,
               note=f"VmHWM; {now:.0f} MB (VmRSS) at the end")


def measure(bench, database, runs, seconds, say):
    """All rows of the api; the database has a published generation."""
    with running_api(bench, database) as api:
        mirror = Mirror(api, bench.folder / "www")
        stage = Stage(bench, database, api, mirror, runs, seconds)
        with bench.nginx(mirror.root) as nginx:
            check_same_bytes(api, nginx, mirror)
            say("  requests per second")
            rows = measure_rates(stage, nginx)
            say("  questions about characters")
            rows += measure_answers(stage, nginx)
            say("  single requests")
            rows += measure_single(stage, nginx)
        rows += measure_whole(stage)
        say("  changes of the generation")
        rows += measure_change(stage)
        rows.append(memory_row(api, "peak memory of the api during all of it", GOAL_MEMORY))
        say("  slow clients")
        rows += slowclients.measure(stage)
        rows.append(memory_row(api, "peak memory with them", GOAL_MEMORY_SLOW,
                               slowclients.PART))
    if mirror.characters < GOAL_SIZE:
        for row in rows:
            row.goal = None
    return rows
