"""The admin side against its own description: every operation, with success, without a token, with
too little of a scope, and with every kind of wrong parameter and body.

/admin/openapi.json is the only thing believed here. An operation that needs more than the examples
below to succeed has them in SUCCESS; one that is not there and needs it fails the test.
"""

import json
import signal
from urllib.parse import quote, urlencode

import jsonschema
import pytest

from admin_lab import Admin
from batch_lab import add, batch
from ctl_lab import json_of
from jobs import Jobs
from harness import wait_for
from remote_lab import start_worker
from test_api_contract import check_schema, operations, refs

SCOPES = ["read", "operate", "admin"]

# What stands for {..} of a path, by its beginning.
IDS = {"/admin/batches/": "task-1", "/admin/servers/": "Siel", "/admin/schedules/": "batch",
       "/admin/queues/": "celery", "/admin/dead/": "DEAD", "/admin/quarantine/": "QUARANTINE",
       "/admin/workers/": "w1@lab", "/admin/tokens/": "TOKEN"}
# What is posted; where the row is not here: {} when that is enough, no body when none is taken.
BODIES = {
    "/admin/schedules/{name}": {"task": "t.x", "every": 3600},
    "/admin/schedules/{name}/pause": {"reason": "a test"},
    "/admin/queues/{name}/purge": {"confirm": "celery"},
    "/admin/dead/retry": {"all": True, "dry_run": True},
    "/admin/dead/drop": {"all": True, "dry_run": True},
    "/admin/quarantine/replay": {"all": True, "dry_run": True},
    "/admin/quarantine/drop": {"all": True, "dry_run": True},
    "/admin/tasks/revoke": {"ids": ["nobody"]},
}
# Paths whose example is another one than that of their beginning.
OTHER_IDS = {"/admin/batches/{id}/cancel": "WAITING"}
# Texts that a parameter asks for.
TEXTS = {"state": "success", "slot": "2026-11-23T10:00:00+00:00"}
# Done last: it ends what the others need.
LAST = ["/admin/workers/{name}/shrink", "/admin/schedules/{name}/remove", "/admin/workers/{name}/stop"]


@pytest.fixture
def admin(spawn, pg, redis_server, tmp_path, ctl):
    add(pg, [("Siel", f"c{i}", "Warrior", 1, i, {"attack": i}) for i in range(3)])
    batch(pg, "task-1")
    start_worker(spawn, redis_server, "w1@lab", WORKER_CONCURRENCY=2)
    jobs = Jobs(redis_server)
    jobs.push("test.fail", "boom")
    jobs.redis.lpush("celery", "not json")
    wait_for(lambda: jobs.dead() and jobs.quarantine(), 20, "letters")
    a = Admin(spawn, pg, redis_server.url, tmp_path)
    a.description = a.json("/admin/openapi.json")
    a.tokens = {s: json_of(ctl("token", "create", s, "--scope", s, "--json")) for s in SCOPES}
    a.found = {"DEAD": jobs.redis.lrange("aion2:dead", 0, 0)[0],
               "TOKEN": str(json_of(ctl("token", "create", "spare", "--scope", "read", "--json"))["id"])}
    a.found["DEAD"] = json.loads(a.found["DEAD"])["id"]
    a.found["QUARANTINE"] = a.json("/admin/quarantine")["letters"][0]["handle"]
    for s in SCOPES:
        wait_for(lambda t=a.tokens[s]["token"]: a.get("/admin/whoami", token=t).status == 200, 20, "the tokens")
    yield a
    a.program.signal(signal.SIGTERM)
    assert a.program.wait(30) == 0  # a sanitizer looks for leaks then


def fill(admin, path):
    """The path with its example."""
    if "{" not in path:
        return path
    example = OTHER_IDS.get(path) or IDS[path[:path.index("{")]]
    if example == "WAITING":
        example = admin.post("/admin/batches").json["task_id"]
    begin, _, rest = path.partition("{")
    return begin + quote(admin.found.get(example, example), safe="") + rest.partition("}")[2]


def ask(admin, path, method, operation, params=None, body=None, **more):
    if body is None and "requestBody" in operation:
        body = BODIES.get(path, {})
    where = fill(admin, path) + (f"?{urlencode(params)}" if params else "")
    return admin.ask(where, method.upper(), body, **more)


def query_params(operation):
    return [p for p in operation["parameters"] if p.get("in") == "query"]


def good_params(operation, only_required=False):
    out = {}
    for p in query_params(operation):
        if p["required"] or not only_required:
            value = TEXTS.get(p["name"], p["schema"].get("default"))
            if value not in (None, "") and value >= p["schema"].get("minimum", value):
                out[p["name"]] = value
    return out


def check_problem(admin, answer, status):
    assert answer.status == status, (status, answer.status, answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    check_schema(admin.description, {"$ref": "#/components/schemas/Problem"}, answer.json)
    assert answer.headers["cache-control"] == "no-store"


def ordered(description):
    rows = list(operations(description))
    return sorted(rows, key=lambda r: LAST.index(r[0]) + 1 if r[0] in LAST else 0)


def test_description_is_well_formed(admin):
    doc = admin.description
    assert doc["openapi"].startswith("3.1.")
    ids = [o["operationId"] for _, _, o in operations(doc)]
    assert len(set(ids)) == len(ids) >= 10
    used = set(refs(doc))
    for ref in used:
        kind, name = ref.removeprefix("#/components/").split("/")
        assert name in doc["components"][kind], ref
    for name, schema in doc["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}" in used, f"{name} describes nothing"
    for path, method, o in operations(doc):
        assert path.startswith("/admin/") and o["x-scope"] in SCOPES, path
        assert method == "get" or o["x-scope"] != "read", path


def test_every_operation_succeeds_as_described(admin):
    for path, method, operation in ordered(admin.description):
        for params in ([good_params(operation, True), good_params(operation)] if method == "get" else [{}]):
            answer = ask(admin, path, method, operation, params)
            [status] = [s for s in operation["responses"] if s[0] == "2"]
            assert answer.status == int(status), (path, method, params, answer.body)
            [(kind, media)] = operation["responses"][status]["content"].items()
            assert answer.headers["content-type"] == kind
            check_schema(admin.description, media["schema"], answer.json)
        if method != "get":
            row = admin.audit("true")[-1]
            assert row[0] == "env" and row[3] == int(status), (path, row)


def test_every_operation_asks_for_a_token_and_its_scope(admin):
    for path, method, operation in operations(admin.description):
        refused = ask(admin, path, method, operation, token="")
        check_problem(admin, refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer ")
        check_problem(admin, ask(admin, path, method, operation, token="a2_" + "x" * 43), 401)
        needed = SCOPES.index(operation["x-scope"])
        for scope in SCOPES[:needed]:
            refused = ask(admin, path, method, operation, token=admin.tokens[scope]["token"])
            check_problem(admin, refused, 403)
            assert operation["x-scope"] in refused.json["detail"]
        # Enough of a scope comes further: to what is wrong with the request.
        refused = ask(admin, path, method, operation, {"nosuch": "1"},
                      token=admin.tokens[SCOPES[needed]]["token"])
        check_problem(admin, refused, 400)


def test_every_parameter_is_checked(admin):
    checked = 0
    for path, method, operation in operations(admin.description):
        good = good_params(operation, True)
        for p in query_params(operation):
            schema = p["schema"]
            if schema["type"] == "integer":
                wrong = [schema["minimum"] - 1, "x", "1.5", "", "9" * 30]
            else:
                wrong = ["a" * (schema["maxLength"] + 1), "\x07", b"\xff"]
            for value in wrong:
                refused = ask(admin, path, method, operation, {**good, p["name"]: value})
                check_problem(admin, refused, 400)
                assert refused.json["param"] == p["name"]
                checked += 1
        check_problem(admin, ask(admin, path, method, operation, {**good, "nosuch": 1}), 400)
    assert checked > 20


def test_what_is_posted_is_checked(admin):
    posted = [(p, o) for p, m, o in operations(admin.description) if m == "post"]
    assert set(BODIES) <= {p for p, _ in posted}
    for path, operation in posted:
        if "requestBody" not in operation:
            check_problem(admin, ask(admin, path, "post", operation, body={}), 400)
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(schema).validate(BODIES.get(path, {}))
        for wrong in (b"", b"[]", b"{", b'{"nosuch": 1}', b"null", b"\xff", b'{"a": 1} x', b'{"a": "\\u0000"}'):
            check_problem(admin, ask(admin, path, "post", operation, body=wrong,
                                     headers={"Content-Type": "application/json"}), 400)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            check_problem(admin, ask(admin, path, "post", operation, body=b"{}",
                                     headers={"Content-Type": kind}), 415)
        for name in schema["required"]:
            body = {k: v for k, v in BODIES.get(path, {}).items() if k != name}
            refused = ask(admin, path, "post", operation, body=body)
            check_problem(admin, refused, 400)
            assert refused.json["param"] == name
        for name, member in schema["properties"].items():
            for wrong in wrong_values(member):
                refused = ask(admin, path, "post", operation, body={**BODIES.get(path, {}), name: wrong})
                check_problem(admin, refused, 400)
                assert refused.json["param"] == name, (path, name, wrong)


def wrong_values(member):
    yield None
    if member["type"] == "integer":
        yield from (member["minimum"] - 1, member["maximum"] + 1, 1.5, "1", True)
    elif member["type"] == "string":
        yield from (1, "\n", ["a"])
        yield "nosuch" if "enum" in member else "a" * (member["maxLength"] + 1)
    elif member["type"] == "boolean":
        yield from (1, "true")
    elif member["type"] == "array":
        yield from ({}, "a")
        if "items" in member:
            yield from ([1], [""], ["a"] * (member["maxItems"] + 1))
    else:
        yield from ([], "a")


def test_ids_in_paths_are_checked(admin):
    for path, method, operation in operations(admin.description):
        for p in operation["parameters"]:
            if p.get("in") != "path":
                continue
            wrong = ["%00", "%ff", "%", "%zz", "a" * 600, "%0a"]
            wrong += ["0", "-1", "x"] if p["schema"]["type"] == "integer" else []
            for value in wrong:
                where = path.replace("{" + p["name"] + "}", value)
                body = BODIES.get(path, {}) if "requestBody" in operation else None
                check_problem(admin, admin.ask(where, method.upper(), body), 400)


def test_every_other_method_is_refused_with_those_allowed(admin):
    for path, methods in admin.description["paths"].items():
        for method in ("get", "head", "post", "put", "delete", "options", "patch"):
            answer = admin.ask(fill(admin, path), method=method.upper()) if method not in methods else None
            if answer is None or answer.status != 405:
                continue  # another row may have this address for that method: /dead/retry is a name, too
            assert set(methods) <= {m.strip().lower() for m in answer.headers["allow"].split(",")}
            assert method not in {m.strip().lower() for m in answer.headers["allow"].split(",")}
        assert admin.ask(fill(admin, path), method="PUT").status == 405, path


def test_unknown_addresses(admin):
    for path in ("//", "/admin", "/admin/", "/admin/nosuch", "/admin/whoami/", "/api/servers", "/health"):
        check_problem(admin, admin.get(path), 404)
        check_problem(admin, admin.get(path, token=""), 401)
