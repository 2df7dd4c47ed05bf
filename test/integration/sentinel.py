"""A master, its replicas and the Sentinels that watch them: real ones, in fresh folders.

    lab = SentinelLab()           one master, two replicas, three Sentinels
    lab.url                       redis+sentinel://...
    lab.client()                  redis.Redis of the master as it is now
    lab.master                    its server (of class servers.Redis)
    lab.kill_master()             and returns when another one is the master
    lab.failover()                the same, asked for with SENTINEL FAILOVER
    lab.destroy()
"""

import os
import shutil

import redis

from harness import free_port, make_temp_dir, start_process, wait_for
from servers import Redis

DOWN_AFTER_MS = 1000
NAME = "main"


class Sentinel:
    """One Sentinel; it rewrites its own configuration file."""

    def __init__(self, master_port, quorum, options=()):
        self.dir = make_temp_dir()
        self.port = free_port()
        self.conf = self.dir / "sentinel.conf"
        self.log_path = self.dir / "sentinel.log"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.dir}",
                 f"sentinel monitor {NAME} 127.0.0.1 {master_port} {quorum}",
                 f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
                 f"sentinel failover-timeout {NAME} 6000", *options]
        self.conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.password = next((o.split()[1] for o in options if o.startswith("requirepass")), None)
        self.proc = None
        self.start()

    def start(self):
        self.proc = start_process(["redis-server", self.conf, "--sentinel"], self.log_path,
                                  cwd=self.dir, env={"PATH": os.environ["PATH"]})
        wait_for(lambda: self.client().ping(), 30, "a Sentinel answering")

    def client(self):
        return redis.Redis(port=self.port, password=self.password, socket_timeout=5,
                           decode_responses=True)

    def master(self):
        """(host, port) as this one sees it."""
        host, port = self.client().execute_command("SENTINEL", "get-master-addr-by-name", NAME)
        return host, int(port)

    def state(self):
        return self.client().sentinel_master(NAME)

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()

    def destroy(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class SentinelLab:
    """options: of every Redis; sentinel_options: lines of every Sentinel's file."""

    def __init__(self, replicas=2, sentinels=3, options=None, sentinel_options=()):
        options = {"appendfsync": "everysec", "repl-diskless-sync-delay": "0", **(options or {})}
        self.servers = [Redis(appendonly=True, options=options)]
        self.sentinels = []
        try:
            for _ in range(replicas):
                self.servers.append(Redis(appendonly=True, options=options))
                self._follow(self.servers[-1], self.servers[0])
            quorum = sentinels // 2 + 1
            for _ in range(sentinels):
                self.sentinels.append(Sentinel(self.servers[0].port, quorum, sentinel_options))
            self.wait_settled()
        except BaseException:
            self.destroy()
            raise

    @staticmethod
    def _follow(server, master):
        # In the configuration, so that it is still a replica after a restart.
        server.options["replicaof"] = f"127.0.0.1 {master.port}"
        client = server.client(password=server.options.get("requirepass"))
        client.execute_command("REPLICAOF", "127.0.0.1", master.port)

    def wait_settled(self, timeout=40):
        """Everybody sees everybody, and the replicas have the master's data."""
        replicas, others = len(self.servers) - 1, len(self.sentinels) - 1

        def settled():
            states = [s.state() for s in self.sentinels]
            synced = self.client().info("replication")
            online = [v for k, v in synced.items() if k.startswith("slave") and k[5:].isdigit()]
            return (all(s["num-slaves"] == replicas for s in states)
                    and all(s["num-other-sentinels"] == others for s in states)
                    and len({s.master() for s in self.sentinels}) == 1
                    and len(online) == replicas and all(r["state"] == "online" for r in online))

        wait_for(settled, timeout, "the Sentinels seeing everybody", interval=0.1)

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    @property
    def master(self):
        """The server that the Sentinels call the master now."""
        port = next(s for s in self.sentinels if s.proc.poll() is None).master()[1]
        return next(s for s in self.servers if s.port == port)

    def client(self, **kwargs):
        master = self.master
        kwargs.setdefault("password", master.options.get("requirepass"))
        return master.client(**kwargs)

    def wait_other_master(self, before, timeout=60):
        """Until another server than that one is the master, for the Sentinels and for itself."""
        alive = [s for s in self.sentinels if s.proc.poll() is None]

        def moved():
            ports = {s.master()[1] for s in alive}
            return before.port not in ports and len(ports) == 1 and (
                self.client().execute_command("ROLE")[0] == b"master")

        wait_for(moved, timeout, "another master", interval=0.05)
        return self.master

    def kill_master(self):
        """SIGKILL; returns (the dead one, the new one)."""
        before = self.master
        before.kill()
        return before, self.wait_other_master(before)

    def failover(self):
        """SENTINEL FAILOVER, without a dead master; returns (old, new)."""
        before = self.master
        # Refused while the last one is not finished.
        wait_for(lambda: self.sentinels[0].client().sentinel_failover(NAME), 40,
                 "the Sentinel agreeing", interval=0.2)
        return before, self.wait_other_master(before)

    def revive(self, server):
        """A killed server comes back, as a replica of whoever is the master now."""
        server.options["replicaof"] = f"127.0.0.1 {self.master.port}"
        server.start()
        self.wait_settled()

    def destroy(self):
        for one in [*self.sentinels, *self.servers]:
            one.destroy()

    def log(self):
        return "\n".join(s.log_path.read_text(errors="replace") for s in self.sentinels)
