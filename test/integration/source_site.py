"""A stand-in for the official site: recorded answers on the site's own addresses, and bad days.

    site = SourceSite("tw")                  recorded characters of that service; site.close()
    site.env()                               settings that make our programs ask it
    site.people                              {(server id, name): Person}
    site.on("info", status(429, retry_after=7), times=1)   the next info answer is that instead
    site.on("*", html())                     every answer, until site.behave()
    site.requests                            what was asked: .kind, .query, .headers, .began, .ended

Kinds are search, info, equipment, item and board. An action is called with the request and the answer
that would have been given (a dict) and gives a Reply. The site refuses what the real one refuses: an Origin,
a search without its parameters, an id that was percent-encoded twice.
"""

import copy
import csv
import functools
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote, urlsplit

from harness import REPO, TEST_DATA, wait_for

DATA = TEST_DATA / "source"
CONTACT = "mailto:operator@example.com"

# Addresses before and after the kinds, and what a search must say, per service.
SERVICES = {
    "kr": ("", "/aion2/search/v2/character", ("keyword",)),
    "tw": ("/aion2", "/aion2/api/search/character", ("keyword", "race")),
    "global": ("", "/aion2global/search/v2/character", ("keyword", "region", "localeInfo")),
}
PATHS = {
    "/api/character/info": "info",
    "/api/character/equipment": "equipment",
    "/api/character/equipment/item": "item",
    "/api/character/daevanion/detail": "board",
}


# ------------------------------------------------------------------------------------ recordings


@dataclass
class Person:
    """One recorded character; row is its line of characters.csv."""

    number: str
    row: dict
    doc: dict

    @property
    def profile(self):
        return self.doc["info"]["profile"]

    @property
    def id(self):
        return self.profile["characterId"]

    @property
    def name(self):
        return self.profile["characterName"]

    @property
    def server_id(self):
        return self.profile["serverId"]

    @property
    def slots(self):
        return self.doc["equipment"]["equipment"]["equipmentList"]

    @property
    def open_boards(self):
        boards = (self.doc["info"].get("daevanion") or {}).get("boardList") or []
        return [b["id"] for b in boards if b["openNodeCount"] > 0]

    @property
    def server(self):
        """As it is stored."""
        return realms()[region_of(self), self.server_id][0]

    def stats(self, mode):
        """The eight of characters.csv: "sheet" or "profile"."""
        names = [k[len(mode) + 1 :] for k in self.row if k.startswith(mode + "_")]
        return {k: int(self.row[f"{mode}_{k}"]) for k in names}


def recorded():
    """Every recorded character, in the order of the table."""
    people = []
    with open(DATA / "characters.csv", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            doc = json.loads((DATA / f"{row['n']}.json").read_text(encoding="utf-8"))
            people.append(Person(row["n"], row, doc))
    return people


@functools.cache
def realms():
    """{(region, server id): (canonical name, the site's name)} of the programs."""
    text = (REPO / "common" / "realm_table.c").read_text(encoding="utf-8")
    rows = re.findall(r'\{"(\w+)", (\d+), "([^"]+)", "([^"]+)"\}', text)
    return {(region, int(number)): names for region, number, *names in rows}


def region_of(person):
    """The setting SOURCE_REGION that this character was recorded with."""
    return person.row["region"].removeprefix("Global-").lower()


def _worn_now(person):
    """Somebody changed arms while one was recorded: the list says what the items are."""
    items = {e["slotPos"]: e["item"]["id"] for e in person.doc.get("items", [])}
    for slot in person.slots if "equipment" in person.doc else []:
        slot["id"] = items.get(slot["slotPos"], slot["id"])


# --------------------------------------------------------------------------------------- actions


@dataclass
class Reply:
    """What goes over the wire. pieces: sent one by one with pause seconds before each."""

    status: int = 200
    body: bytes = b""
    type: str | None = "application/json;charset=UTF-8"
    headers: dict = field(default_factory=dict)
    pieces: int = 1
    pause: float = 0.0
    length: int | None = None  # what Content-Length says, if not the truth
    drop: bool = False  # close without a word


def say(doc, status_code=200):
    return Reply(status_code, json.dumps(doc, ensure_ascii=False).encode())


def status(code, retry_after=None, doc=None):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = json.dumps(doc).encode() if doc is not None else b""
    return lambda request, answer: Reply(code, body, headers=headers)


def html(code=200):
    page = "<!DOCTYPE html><html><body>점검 중입니다</body></html>".encode()
    return lambda request, answer: Reply(code, page, "text/html;charset=utf-8")


def redirect(to="https://www.example.com/error/404"):
    return lambda request, answer: Reply(302, b"", "text/html", {"Location": to})


def empty():
    return lambda request, answer: Reply(200, b"")


def raw(body, type="application/json"):  # pylint: disable=redefined-builtin
    return lambda request, answer: Reply(200, body, type)


def cut(at=0.5):
    """The first part of the JSON, whole as far as HTTP is concerned."""

    def act(request, answer):
        body = say(answer).body
        return Reply(200, body[: int(len(body) * at)])

    return act


def half_a_letter():
    """Valid JSON but for a UTF-8 sequence that ends too early."""

    def act(request, answer):
        body = say(answer).body
        at = next(i for i, c in enumerate(body) if c >= 0xE0)
        return Reply(200, body[: at + 1] + body[at + 3 :])

    return act


def hang_up(at=0.5):
    """Promises a whole answer and closes the connection in the middle of it."""

    def act(request, answer):
        body = say(answer).body
        return Reply(200, body[: int(len(body) * at)], length=len(body))

    return act


def huge(size=5 * 1024 * 1024 + 1):
    def act(request, answer):
        return Reply(200, json.dumps({**answer, "padding": "x" * size}).encode())

    return act


def drip(pause=0.2):
    def act(request, answer):
        reply = say(answer)
        reply.pieces, reply.pause = len(reply.body), pause
        return reply

    return act


def drop():
    return lambda request, answer: Reply(drop=True)


def edit(change):
    """change(doc) alters the answer in place, or gives another one."""

    def act(request, answer):
        return say(change(answer) or answer)

    return act


GONE_ROUTE = {"status": 404, "result": {"exceptionClassName": "NoResourceFoundException"}}
NO_RESOURCE = {"status": 404, "code": "resource.not_found", "message": "not found"}


# ------------------------------------------------------------------------------------------ site


@dataclass
class Request:
    kind: str
    path: str
    query: dict  # as it was sent, percent-decoded once
    headers: dict
    client: tuple
    began: float
    ended: float = 0.0
    status: int = 0


@dataclass
class _Rule:
    kind: str
    action: object
    times: int | None
    match: object


class SourceSite:
    """region: SOURCE_REGION. people: numbers of recordings, all of the region unless given.

    certificate: a PEM file with key and certificate; then it speaks HTTPS.
    """

    def __init__(self, region="tw", people=None, certificate=None):
        self.region = region
        self.service = region if region in SERVICES else "global"
        self.requests = []
        self.delay = 0.0
        self.people = {}
        self._rules = []
        self._lock = threading.Lock()
        self._busy = 0
        self.most_at_once = 0
        for person in recorded():
            if region_of(person) == region and (people is None or person.number in people):
                self.add(person)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self._scheme = "https" if certificate else "http"
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def env(self, **more):
        prefix, search, _ = SERVICES[self.service]
        return {
            "SOURCE_ADAPTER": "plaync",
            "SOURCE_REGION": self.region,
            "SOURCE_BASE_URL": self.url + prefix,
            "SOURCE_SEARCH_URL": self.url + search,
            "SOURCE_CONTACT": CONTACT,
            "SOURCE_INTERVAL_MS": "1",
            **{k: str(v) for k, v in more.items()},
        }

    # ---- people

    def add(self, person):
        """The first recording of a character stays."""
        _worn_now(person)
        self.people.setdefault((person.server_id, person.name), person)
        return person

    def person(self, number):
        return next(p for p in self.people.values() if p.number == number)

    def clone(self, number, name):
        """Another character like that one."""
        p = self.person(number)
        p = Person(number, p.row, copy.deepcopy(p.doc))
        p.profile["characterName"] = name
        p.profile["characterId"] = f"{len(self.people):043d}="
        return self.add(p)

    # ---- bad days

    def on(self, kind, action, times=None, match=None):
        """match: a function of the request, or None. The rule that was added first wins."""
        with self._lock:
            self._rules.append(_Rule(kind, action, times, match))
        return self

    def behave(self):
        with self._lock:
            self._rules.clear()

    def _action(self, request):
        with self._lock:
            for rule in self._rules:
                if rule.kind not in ("*", request.kind) or rule.times == 0:
                    continue
                if rule.match is None or rule.match(request):
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule.action
        return lambda request, answer: None

    # ---- what was asked

    def count(self, kind=None):
        with self._lock:
            return sum(kind in (None, r.kind) for r in self.requests)

    def kinds(self):
        with self._lock:
            return [r.kind for r in self.requests]

    def forget(self):
        with self._lock:
            self.requests.clear()
            self.most_at_once = 0

    def wait_until_quiet(self):
        wait_for(lambda: self._busy == 0, what="the end of all requests to the source")

    def begin(self, request):
        with self._lock:
            self.requests.append(request)
            self._busy += 1
            self.most_at_once = max(self.most_at_once, self._busy)

    def end(self, request):
        """Twice does no harm."""
        with self._lock:
            self._busy -= request.ended == 0
            request.ended = request.ended or time.monotonic()

    # ---- answers

    def reply(self, request):
        refused = self._refuse(request)
        if refused:
            return refused
        status_code, answer = getattr(self, "_" + request.kind)(request.query)
        return self._action(request)(request, copy.deepcopy(answer)) or say(answer, status_code)

    def _refuse(self, request):
        if "origin" in request.headers:
            return Reply(403, b"Invalid CORS request", "text/plain")
        if request.kind == "unknown":
            return say(GONE_ROUTE, 404)
        needed = SERVICES[self.service][2] if request.kind == "search" else ("lang", "characterId", "serverId")
        if self.service == "global" and request.kind != "search":
            needed += ("region",)
        if any(not request.query.get(k) for k in needed):
            return say({"code": "BAD_REQUEST"}, 400)
        return None

    def _search(self, q):
        key, page, size = q["keyword"].lower(), int(q.get("page", 1)), int(q.get("size", 40))
        hits = [p for p in self.people.values() if key in p.name.lower()]
        hits = [p for p in hits if "serverId" not in q or p.server_id == int(q["serverId"])]
        hits = [p for p in hits if "race" not in q or p.server_id // 1000 == int(q["race"])]
        hits.sort(key=lambda p: (-len(p.name), p.name))  # the exact one comes late
        rows = [self._row(p, q["keyword"]) for p in hits[(page - 1) * size : page * size]]
        pages = max(1, -(-len(hits) // size))
        pagination = {"page": page, "size": size, "total": len(hits), "endPage": pages}
        return 200, {"list": rows, "pagination": pagination}

    def _row(self, p, keyword):
        at = p.name.lower().index(keyword.lower())
        end = at + len(keyword)
        marked = f"{escape(p.name[:at])}<strong>{escape(p.name[at:end])}</strong>{escape(p.name[end:])}"
        return {
            "characterId": quote(p.id, safe=""),
            "name": marked,
            "race": p.profile["raceId"],
            "pcId": p.profile["pcId"],
            "level": p.profile["characterLevel"],
            "serverId": p.server_id,
            "serverName": p.profile["serverName"],
            "profileImageUrl": "/game_profile_images/x",
            "region": self.region if self.service == "global" else None,
        }

    def _who(self, q):
        found = [p for p in self.people.values() if p.id == q["characterId"]]
        return found[0] if found and str(found[0].server_id) == q["serverId"] else None

    def _info(self, q):
        p = self._who(q)
        return (200, p.doc["info"]) if p else (404, NO_RESOURCE)

    def _equipment(self, q):
        p = self._who(q)
        if not p:
            nothing = {"equipmentList": None, "skinList": None}
            return 200, {"equipment": nothing, "petwing": {}, "skill": {"skillList": None}}
        bare = {"equipment": {"equipmentList": [], "skinList": None}, "skill": {"skillList": []}}
        return 200, p.doc.get("equipment", bare)

    def _item(self, q):
        p = self._who(q)
        for e in p.doc.get("items", []) if p else []:
            if str(e["slotPos"]) == q.get("slotPos") and str(e["item"]["id"]) == q.get("id"):
                return 200, e["item"]
        return 200, {"id": 0}

    def _board(self, q):
        """KR was recorded without boards: they have no effects here, as in the table."""
        p = self._who(q)
        for b in p.doc.get("boards", []) if p else []:
            if str(b["boardId"]) == q.get("boardId"):
                return 200, {"nodeList": [], **{k: v for k, v in b.items() if k != "boardId"}}
        return 200, {"nodeList": [], "openStatEffectList": [], "openSkillEffectList": []}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def _parse(self):
        site = self.server.site
        parts = urlsplit(self.path)
        query = {}
        for pair in parts.query.split("&") if parts.query else []:
            key, _, value = pair.partition("=")
            query[key] = unquote(value.replace("+", " "), errors="strict")
        prefix, search, _ = SERVICES[site.service]
        kind = "search" if parts.path == search else PATHS.get(parts.path.removeprefix(prefix), "unknown")
        headers = {k.lower(): v for k, v in self.headers.items()}
        return Request(kind, self.path, query, headers, self.client_address, time.monotonic())

    def do_GET(self):
        request = self._parse()
        site = self.server.site
        site.begin(request)
        try:
            if site.delay:
                time.sleep(site.delay)
            reply = site.reply(request)
            request.status = reply.status
            self._send(reply, request)
        finally:
            site.end(request)

    def _send(self, reply, request):
        """The request has ended before whoever asked can know that."""
        if reply.drop:
            self.close_connection = True
            return
        self.send_response(reply.status)
        if reply.type:
            self.send_header("Content-Type", reply.type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        length = len(reply.body) if reply.length is None else reply.length
        self.send_header("Content-Length", str(length))
        if not reply.body:
            self.server.site.end(request)
        self.end_headers()
        step = max(1, -(-len(reply.body) // reply.pieces))
        for at in range(0, len(reply.body), step):
            if reply.pause:
                time.sleep(reply.pause)
            if at + step >= len(reply.body):
                self.server.site.end(request)
            self.wfile.write(reply.body[at : at + step])
            self.wfile.flush()
        if length != len(reply.body):
            self.close_connection = True
