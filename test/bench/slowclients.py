"""The api while thousands of slow clients hold connections open."""
import contextlib
import errno
import selectors
import socket
import subprocess
import sys
import time

from figures import Figure, Goal, Row

PART = "The api: slow clients"
CLIENTS = 2000
EVERY_S = 1.0  # between two bytes of each
GOAL = Goal(at_most=3, text="<= 3")


# -- the clients, a process of their own ---------------------------------------------------------

class Client:
    """One connection that sends a header byte by byte; a new one when it was cut off."""

    def __init__(self, port):
        self.port = port
        self.sock = None

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        self.sock.setblocking(False)

    def drip(self):
        try:
            self.sock.send(b"y")
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            self.sock.close()
            self.connect()


def be_slow(port, count):
    """Ready is printed once all are there; goes on until it is killed."""
    clients = [Client(port) for _ in range(count)]
    for client in clients:
        client.connect()
    print("ready", flush=True)
    while True:  # spread over the time, so that they are never all at once
        for client in clients:
            client.drip()
            time.sleep(EVERY_S / count)


# -- the measurement -----------------------------------------------------------------------------

@contextlib.contextmanager
def slow_clients(port):
    argv = [sys.executable, __file__, str(port), str(CLIENTS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(process.stdout, selectors.EVENT_READ)
                if not ready.select(60) or process.stdout.readline().strip() != "ready":
                    raise AssertionError("the slow clients cannot connect")
            yield
        finally:
            process.kill()


def measure(stage):
    """Ordinary requests beside them, and without."""
    import wrk  # pylint: disable=import-outside-toplevel
    draw, _ = stage.mirror.draws()
    quiet, beside = [], []
    for _ in range(stage.runs):
        quiet.append(wrk.run(stage.api.base, draw, stage.seconds).p99_us / 1e6)
        with slow_clients(stage.api.port):
            beside.append(wrk.run(stage.api.base, draw, stage.seconds).p99_us / 1e6)
    return [Row(PART, f"99th percentile while {CLIENTS:,} clients send a header byte by byte",
                Figure(beside, "s"), "without them", Figure(quiet, "s"), GOAL,
                note="random pages, 64 connections; a byte a second each, whoever is cut off comes again",
                of_pairs=True)]


if __name__ == "__main__":
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    be_slow(int(sys.argv[1]), int(sys.argv[2]))
