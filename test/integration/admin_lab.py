"""What the tests of the admin side share: an api with it, clients for both of its doors, its log."""

import http.client
import json
import socket

import harness
from board import Answer, Api

ENV_TOKEN = "test-token-of-the-environment-0123456789"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("admin", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Admin:
    """An api whose admin side is open on a port (by ADMIN_TOKEN) and on a Unix socket."""

    def __init__(self, spawn, pg, redis_url, folder, token=ENV_TOKEN, **settings):
        self.pg = pg
        self.port = harness.free_port()
        self.socket_path = f"{folder}/admin.sock"
        self.token = token
        self.api = Api(spawn, pg.url, REDIS_URL=redis_url, ADMIN_LISTEN=f"127.0.0.1:{self.port}",
                       ADMIN_SOCKET=self.socket_path, **({"ADMIN_TOKEN": token} if token else {}), **settings)
        self.program = self.api.program
        harness.wait_for(self.local_is_open, 30, "the admin socket")
        if token:
            self.wait_port(True)

    def local_is_open(self):
        try:
            conn = UnixConnection(self.socket_path)
            conn.connect()
            conn.close()
            return True
        except OSError:
            return self.program.must_run()

    def wait_port(self, is_open):
        harness.wait_for(lambda: harness.port_open(self.port) == is_open or self.program.must_run(), 30,
                         "the admin port")

    def ask(self, path, method="GET", body=None, token=None, headers=None, local=False, **more):
        """token: None for ADMIN_TOKEN's, "" for none. local: by the Unix socket, without a token."""
        token = token if token is not None else "" if local else self.token
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {}),
                   **{k.replace("_", "-"): v for k, v in more.items()}}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers = {"Content-Type": "application/json", **headers}
        conn = UnixConnection(self.socket_path) if local else http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=30)
        try:
            conn.request(method, path, body=body, headers=headers)
            r = conn.getresponse()
            return Answer(r.status, r.getheaders(), r.read())
        finally:
            conn.close()

    def get(self, path, **more):
        return self.ask(path, **more)

    def post(self, path, body=None, **more):
        return self.ask(path, "POST", {} if body is None else body, **more)

    def json(self, path, **more):
        a = self.get(path, **more)
        assert a.status == 200, (path, a.status, a.body)
        return a.json

    def raw(self, data, local=False):
        """Sends bytes, returns everything until the service closes."""
        s = socket.socket(socket.AF_UNIX) if local else socket.create_connection(("127.0.0.1", self.port), 10)
        with s:
            s.settimeout(10)
            if local:
                s.connect(self.socket_path)
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it refused before reading all; its answer is there
            out = b""
            try:
                while chunk := s.recv(65536):
                    out += chunk
            except ConnectionResetError:
                pass
            return out

    def audit(self, where="true"):
        """Rows of the log of changes, the oldest first."""
        return self.pg.query("SELECT principal, action, target, status, detail, address, before, after,"
                             f" idempotency_key FROM admin_audit WHERE {where} ORDER BY id")

    def wait_audit(self, where, count=1):
        """Refused requests are written down a moment after their answer."""
        harness.wait_for(lambda: len(self.audit(where)) >= count, 10, f"the log of changes: {where}")
        return self.audit(where)
