"""A TCP proxy that can stop passing anything on, as a firewall does that forgot a connection.

    proxy = Proxy(redis_server.port)
    proxy.url                   redis://127.0.0.1:<its port>/0
    proxy.swallow()             what is connected stays so, and nothing comes through any more
    proxy.resume()              new connections are passed on again; the old ones stay dead
    proxy.accepted              connections so far
"""

import socket
import threading


class _Pair:
    """One connection and its way on; two threads copy."""

    def __init__(self, proxy, inner, outer):
        self.dead = False
        self.sockets = (inner, outer)
        for a, b in ((inner, outer), (outer, inner)):
            threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    def _copy(self, source, target):
        try:
            while data := source.recv(65536):
                if not self.dead:
                    target.sendall(data)
        except OSError:
            pass
        if not self.dead:  # an end is passed on, too
            self.close()

    def close(self):
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


class Proxy:
    def __init__(self, port):
        self.target = port
        self.accepted = 0
        self._swallowing = False
        self._swallowed = 0  # times; a connection that is being made meanwhile dies, too
        self._pairs = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def _accept(self):
        while True:
            try:
                inner, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            before = self._swallowed
            try:
                outer = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                outer.settimeout(None)
            except OSError:
                inner.close()
                continue
            pair = _Pair(self, inner, outer)
            self._pairs.append(pair)
            if self._swallowing or self._swallowed != before:
                pair.dead = True

    def swallow(self):
        self._swallowing = True
        self._swallowed += 1
        for pair in self._pairs:
            pair.dead = True

    def resume(self):
        self._swallowing = False

    def close(self):
        self._socket.close()
        for pair in self._pairs:
            pair.dead = True
            pair.close()
