"""Malformed input as test/data/malformed describes it, built into bytes."""

import base64
import copy
import json
import time
import uuid

from harness import TEST_DATA
from jobs import celery_message


def load(name):
    """The cases of one file."""
    return json.loads((TEST_DATA / "malformed" / f"{name}.json").read_text(encoding="utf-8"))


def expand(value):
    """{"repeat": text, "times": n} is a long text."""
    if isinstance(value, dict) and set(value) == {"repeat", "times"}:
        return value["repeat"] * value["times"]
    return value


def _parent(document, path):
    *folders, name = path.split(".")
    for folder in folders:
        document = document[folder]
    return document, name


def encode_body(envelope, text, plain):
    """Puts text into the envelope as its body: base64, or plain as kombu does when told to."""
    if plain:
        envelope["body"] = text
        if isinstance(envelope.get("properties"), dict):
            envelope["properties"]["body_encoding"] = None
    else:
        envelope["body"] = base64.b64encode(text.encode()).decode()
    return envelope


def change(envelope, case, body):
    """The envelope with the case's changes; body is the text it would have without them."""
    envelope = encode_body(copy.deepcopy(envelope), expand(case.get("body", body)),
                           case.get("plain_body", False))
    for path in case.get("drop", ()):
        parent, name = _parent(envelope, path)
        del parent[name]
    for path, value in case.get("set", {}).items():
        parent, name = _parent(envelope, path)
        parent[name] = expand(value)
    return envelope


def _bytes(case, envelope, document):
    """What a case makes of an envelope whose body is the document."""
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    if "raw" in case:
        return expand(case["raw"]).encode()
    document = {**document, **{k: expand(v) for k, v in case.get("with", {}).items()}}
    for name in case.get("without", ()):
        del document[name]
    return json.dumps(change(envelope, case, json.dumps(document))).encode()


def _envelope(headers, exchange, routing_key):
    return {
        "body": "", "content-encoding": "utf-8", "content-type": "application/json",
        "headers": headers,
        "properties": {"delivery_mode": 1, "priority": 0, "body_encoding": "base64",
                       "delivery_info": {"exchange": exchange, "routing_key": routing_key},
                       "delivery_tag": str(uuid.uuid4())},
    }


def event(case):
    """The bytes of a case around a worker's heartbeat."""
    heartbeat = {"hostname": "somebody@else", "utcoffset": 0, "pid": 1, "clock": 5, "freq": 2.0,
                 "active": 0, "processed": 0, "loadavg": [0.1, 0.1, 0.1], "sw_ident": "py-celery",
                 "sw_ver": "5.2.6", "sw_sys": "Linux", "timestamp": time.time(),
                 "type": "worker-heartbeat"}
    envelope = _envelope({"hostname": "somebody@else"}, "celeryev", "worker.heartbeat")
    return _bytes(case, envelope, heartbeat)


def request(case, oid):
    """The bytes of a case around a ping whose answer goes to oid."""
    ping = {"method": "ping", "arguments": {}, "destination": None, "pattern": None,
            "matcher": None, "ticket": str(uuid.uuid4()),
            "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": oid}}
    envelope = _envelope({"clock": 1, "expires": time.time() + 60}, "celery.pidbox", "")
    return _bytes(case, envelope, ping)


def task_message(case):
    """The id that the case's message has, where it has one, and its bytes."""
    task_id, text = celery_message("test.add", (2, 3))
    if "hex" in case:
        return task_id, bytes.fromhex(case["hex"])
    if "raw" in case:
        return task_id, expand(case["raw"]).replace("@ID", task_id).encode()
    envelope = json.loads(text)
    body = base64.b64decode(envelope["body"]).decode()
    if "protocol_1" in case:
        envelope["headers"] = {}
        body = json.dumps(case["protocol_1"])
    text = json.dumps(change(envelope, case, body))
    if "protocol_1" in case:
        text = json.dumps(encode_body(json.loads(text), body.replace("@ID", task_id), False))
    return task_id, text.replace("@ID", task_id).encode()


def answer_kind(text):
    """ok, error, or what else an answer of remote control holds."""
    (answer,) = json.loads(base64.b64decode(json.loads(text)["body"])).values()
    if isinstance(answer, dict) and len(answer) == 1:
        return next(iter(answer))
    return json.dumps(answer)


def event_count(text):
    """How many events are in what was published."""
    body = json.loads(base64.b64decode(json.loads(text)["body"]))
    return len(body) if isinstance(body, list) else 1
