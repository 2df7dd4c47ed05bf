"""What the tests of remote control and events share: a named worker, Celery's tool, raw requests."""

import base64
import json
import subprocess
import sys
import threading
import uuid

from celery import Celery
from celery.events.state import State

from harness import clean_env, wait_for
from jobs import SEP, worker_env

NODE = "aion2@lab"
CHANNEL = "/0.celery.pidbox"
REPLIES = "reply.celery.pidbox"
TASK_MEMBERS = {"id", "name", "args", "kwargs", "type", "hostname", "time_start", "acknowledged",
                "delivery_info", "worker_pid"}


def start_worker(spawn, server, name=NODE, **more):
    """A worker that hears requests when this returns."""
    r = server.client()

    def listeners():
        return r.pubsub_numsub(CHANNEL)[0][1]

    before = listeners()
    worker = spawn("aion2-worker", env=worker_env(server, WORKER_NAME=name, **more))
    wait_for(lambda: listeners() > before or worker.must_run(), 20, "the worker to listen")
    return worker


def celery_app(server):
    """A client's Celery, as somebody else's Python program has it."""
    app = Celery("client", broker=server.url, backend=server.url, set_as_current=False)
    app.conf.update(accept_content=["json"], task_send_sent_event=True)
    return app


def close_app(app):
    # Results unsubscribe when they are collected, which may be after the end of the server.
    app.backend.result_consumer.cancel_for = lambda task_id: None
    app.close()


def tool(server, *args, timeout=60):
    """Celery's command line tool."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-b", server.url, "--result-backend", server.url, *args],
        env=clean_env({"PYTHONDONTWRITEBYTECODE": "1"}), capture_output=True, text=True,
        timeout=timeout, check=False, cwd="/")


# Celery's tool takes a second to start, so many of its commands are run by one process.
_MANY = """
import json, sys
from click.testing import CliRunner
from celery.bin.celery import celery
for line in sys.stdin:
    did = CliRunner().invoke(celery, json.loads(line))
    print(json.dumps([did.exit_code, did.output]), flush=True)
"""


def tools(server, commands):
    """Several commands of the tool: [(exit code, output)]."""
    options = ["-b", server.url, "--result-backend", server.url]
    done = subprocess.run(
        [sys.executable, "-c", _MANY], cwd="/", text=True, timeout=100, check=True,
        input="".join(json.dumps(options + c.split()) + "\n" for c in commands),
        capture_output=True, env=clean_env({"PYTHONDONTWRITEBYTECODE": "1"}))
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def ask(app, method, arguments=None, destination=None, timeout=5.0, **more):
    """{node: answer}; with a destination it returns as soon as that one has answered."""
    replies = app.control.broadcast(method, arguments=arguments or {}, reply=True, timeout=timeout,
                                    destination=destination, **more)
    return {node: value for reply in replies or [] for node, value in reply.items()}


def ask_one(app, method, arguments=None, node=NODE, **more):
    return ask(app, method, arguments, destination=[node], **more)[node]


def envelope(body, headers=None, **properties):
    """As kombu writes it."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {
        "body": base64.b64encode(text.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1, "expires": 0} if headers is None else headers,
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            **properties,
        },
    }


def request(method, reply_to=None, **members):
    """The envelope of a request; reply_to is a routing key."""
    body = {"method": method, "arguments": {}, "destination": None, "pattern": None,
            "matcher": None, **members}
    if reply_to:
        body["ticket"] = str(uuid.uuid4())
        body["reply_to"] = {"exchange": REPLIES, "routing_key": reply_to}
    return envelope(body)


def reply_list(key):
    return f"{key}.{REPLIES}"


def bind(redis, key):
    """What a client does before it asks."""
    redis.sadd(f"_kombu.binding.{REPLIES}", f"{key}{SEP}{SEP}{reply_list(key)}")


def body_of(text):
    """What is in an envelope."""
    message = json.loads(text)
    return json.loads(base64.b64decode(message["body"]))


def pattern_listeners(server):
    """Connections that subscribe to a pattern, as monitors do."""
    return sum(int(c["psub"]) > 0 for c in server.client().client_list())


class Monitor:
    """A real receiver of events, in a thread: all of them, and Celery's own State of the fleet."""

    def __init__(self, server, wakeup=True):
        self.app = celery_app(server)
        self.events = []
        self.state = State()
        self.error = None
        self._stop = False
        self._ready = threading.Event()
        before = pattern_listeners(server)
        self._thread = threading.Thread(target=self._run, args=(wakeup,), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        wait_for(lambda: pattern_listeners(server) > before, 10, "the monitor's subscription")

    def _run(self, wakeup):
        try:
            with self.app.connection_for_read() as connection:
                receiver = self.app.events.Receiver(connection, handlers={"*": self._on_event})
                self._ready.set()
                for _ in receiver.itercapture(limit=None, timeout=None, wakeup=wakeup):
                    if self._stop:
                        break
        except Exception as e:  # pylint: disable=broad-except
            if not self._stop:
                self.error = e

    def _on_event(self, event):
        self.events.append(dict(event))
        self.state.event(dict(event))

    def of(self, task_id, sent=False):
        """The events of a task, in order."""
        return [e for e in list(self.events)
                if e.get("uuid") == task_id and (sent or e["type"] != "task-sent")]

    def types_of(self, task_id):
        return [e["type"] for e in self.of(task_id)]

    def wait_for_types(self, task_id, *types, timeout=15):
        try:
            wait_for(lambda: self.types_of(task_id) == list(types), timeout)
        except AssertionError as e:
            raise AssertionError(f"{types} expected, seen: {self.types_of(task_id)}") from e

    def wait_for_event(self, timeout=15, **members):
        """The first event with those members (type="worker-online", ...)."""

        def there():
            assert self.error is None, self.error
            return next((e for e in list(self.events)
                         if all(e.get(k) == v for k, v in members.items())), None)

        return wait_for(there, timeout, f"an event with {members}")

    def close(self):
        self._stop = True
        close_app(self.app)


def busy(app, jobs, seconds=60, count=2):
    """Tasks that keep every child busy."""
    sent = [app.send_task("test.sleep", (seconds,)) for _ in range(count)]
    wait_for(lambda: len(ask_one(app, "active")) == count, what="busy children")
    return sent


def delayed_identity(jobs):
    c = jobs.counters()
    came = c.get("delayed", 0) + c.get("retried", 0)
    went = c.get("due", 0) + c.get("delayed_dropped", 0) + jobs.redis.zcard("aion2:delayed")
    return came - went
