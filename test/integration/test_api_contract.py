"""The api against its own description: every operation, with success and each kind of error.

/openapi.json is the only thing believed here: parameters are made from it, and every answer must fit
the schema that it names.
"""

import json
from urllib.parse import urlencode

import jsonschema
import pytest

import harness
from board import SIX, Api, add_characters, publish

# What stands for "some server that exists" and the like.
EXAMPLES = {"server": SIX[0][0], "name": SIX[0][1], "class": SIX[0][2], "board": "all",
            "prefix": SIX[0][1][:1], **{k: f"{SIX[i][0]}:{SIX[i][1]}" for i, k in enumerate("abcd")}}
# What is posted.
BODIES = {"/api/characters/batch": {"characters": [{"server": SIX[0][0], "name": SIX[0][1]},
                                                    {"server": "Nowhere", "name": "Nobody"}]},
          "/api/search": {"server": SIX[0][0], "name": SIX[0][1]}}
# One of two that exclude each other.
LEFT_OUT = {"cursor"}


@pytest.fixture
def stack(pg, spawn):
    add_characters(pg, SIX)
    publish(pg)
    api = Api(spawn, pg.url)
    api.description = api.json("/openapi.json")
    for path in (f"/api/legions?server={SIX[0][0]}", "/api/characters?prefix=a"):  # made after the start
        harness.wait_for(lambda p=path: api.get(p).status == 200, 10, path)
    return api


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def refs(value):
    """Every $ref in a document."""
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            yield from refs(v)


def check_schema(description, schema, value):
    """schema may refer to components of the description."""
    resolver = jsonschema.RefResolver.from_schema(description)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


def params_of(operation, only_required=False):
    return {p["name"]: EXAMPLES.get(p["name"], str(p["schema"].get("default", "")))
            for p in operation.get("parameters", [])
            if p["name"] not in LEFT_OUT and (p["required"] or not only_required)}


def ask(api, path, method, params):
    query = f"?{urlencode(params)}" if params else ""
    if method == "post":
        return api.ask(path + query, method="POST", body=json.dumps(BODIES[path]),
                       headers={"Content-Type": "application/json"})
    return api.ask(path + query, method=method.upper())


def check_success(api, path, method, operation, params):
    answer = ask(api, path, method, params)
    assert answer.status == 200, (path, method, params, answer.body)
    if method == "head":
        assert answer.body == b""
        return
    content = operation["responses"]["200"]["content"]
    assert list(content) == [answer.headers["content-type"]]
    for kind, media in content.items():
        value = answer.json if kind == "application/json" else answer.body.decode()
        check_schema(api.description, media["schema"], value)


def check_refusal(api, path, method, params, param):
    answer = ask(api, path, method, params)
    assert answer.status == 400, (path, method, params, answer.status)
    if method != "head":
        answer.problem(400, param)
        schema = {"$ref": "#/components/schemas/Problem"}
        check_schema(api.description, schema, answer.json)


def test_description_is_well_formed(stack):
    doc = stack.description
    assert doc["openapi"].startswith("3.1.")
    ids = [o["operationId"] for _, _, o in operations(doc)]
    assert len(set(ids)) == len(ids) >= 10
    for name, schema in doc["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema, name
    used = set(refs(doc))
    for ref in used:
        kind, name = ref.removeprefix("#/components/").split("/")
        assert name in doc["components"][kind], ref
    for name in doc["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in used, f"{name} describes nothing"


def test_every_operation_succeeds_as_described(stack):
    for path, method, operation in operations(stack.description):
        check_success(stack, path, method, operation, params_of(operation, only_required=True))
        check_success(stack, path, method, operation, params_of(operation))


def test_every_parameter_is_checked(stack):
    checked = 0
    for path, method, operation in operations(stack.description):
        good = params_of(operation, only_required=True)
        for p in operation.get("parameters", []):
            schema = p["schema"]
            if schema["type"] == "integer":
                wrong = [schema["minimum"] - 1, schema["maximum"] + 1, "x", "1.5", ""]
                right = [schema["minimum"], schema["maximum"]]
            else:
                wrong = ["a" * (schema["maxLength"] + 1), "\x07", b"\xff"]
                wrong += [""] if p["required"] else []
                right = []
            for value in wrong:
                check_refusal(stack, path, method, {**good, p["name"]: value}, p["name"])
                checked += 1
            for value in right:
                check_success(stack, path, method, operation, {**good, p["name"]: value})
    assert checked > 50


def test_unknown_missing_and_repeated_parameters_are_refused(stack):
    for path, method, operation in operations(stack.description):
        good = params_of(operation, only_required=True)
        check_refusal(stack, path, method, {**good, "nosuch": "1"}, "nosuch")
        for name in good:
            check_refusal(stack, path, method, {k: v for k, v in good.items() if k != name}, name)
        for p in operation.get("parameters", []):
            twice = list(good.items()) + [(p["name"], EXAMPLES.get(p["name"], "1"))] * 2
            answer = ask(stack, path, method, twice)
            assert answer.status == 400, (path, p["name"])


def test_every_other_method_is_refused_with_those_allowed(stack):
    for path, methods in stack.description["paths"].items():
        for method in ("get", "head", "post", "put", "delete", "options"):
            if method in methods:
                continue
            answer = stack.ask(path, method=method.upper())
            assert answer.status == 405, (path, method, answer.status)
            assert {m.strip().lower() for m in answer.headers["allow"].split(",")} == set(methods)
            if method != "head":
                answer.problem(405)


def test_what_is_cached_says_not_modified(stack):
    cached = 0
    for path, method, operation in operations(stack.description):
        first = ask(stack, path, method, params_of(operation))
        if "304" not in operation["responses"]:
            assert "etag" not in first.headers, path
            continue
        again = stack.ask(f"{path}?{urlencode(params_of(operation))}", method=method.upper(),
                          headers={"If-None-Match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b""), path
        cached += 1
    assert cached


def test_what_is_posted_is_as_described(stack):
    posted = {path: o["requestBody"] for path, method, o in operations(stack.description) if method == "post"}
    assert set(posted) == set(BODIES)
    for path, body in posted.items():
        check_schema(stack.description, body["content"]["application/json"]["schema"], BODIES[path])
        for wrong in (b"", b"[]", b"{", b'{"nosuch": 1}', b"null", b"\xff", b'{"a": 1} x'):
            a = stack.ask(path, method="POST", body=wrong, headers={"Content-Type": "application/json"})
            assert a.status == 400, (path, wrong)
            check_schema(stack.description, {"$ref": "#/components/schemas/Problem"}, a.json)
        for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/jsonx"}):
            stack.ask(path, method="POST", body=json.dumps(BODIES[path]), headers=kind).problem(415)


def test_who_asks_too_often_is_told_as_described(stack):
    limited = [(p, m, o) for p, m, o in operations(stack.description) if "429" in o["responses"]]
    assert limited
    for path, method, operation in limited:
        answers = [ask(stack, path, method, params_of(operation)) for _ in range(11)]
        assert [a.status for a in answers[-2:]] == [200, 429]
        answers[-1].problem(429)
        check_schema(stack.description, {"$ref": "#/components/schemas/Problem"}, answers[-1].json)
        too_many = stack.description["components"]["responses"]["TooMany"]["headers"]
        for answer, headers in ((answers[0], operation["responses"]["200"]["headers"]), (answers[-1], too_many)):
            for name, header in headers.items():
                text = answer.headers[name.lower()]
                schema = {"allOf": [header["schema"]]} if "schema" in header else \
                    {"allOf": [stack.description["components"]["headers"][name]["schema"]]}
                check_schema(stack.description, schema, int(text) if text.isdigit() else text)


def test_unknown_addresses(stack):
    for path in ("/ranking", "/api", "/api/ranking/", "/api/nosuch", "/openapi"):
        answer = stack.get(path)
        answer.problem(404)
        check_schema(stack.description, {"$ref": "#/components/schemas/Problem"}, answer.json)
