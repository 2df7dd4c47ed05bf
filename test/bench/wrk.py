"""Running wrk and reading what it prints."""
import pathlib
import re
import subprocess
from dataclasses import dataclass

import rig

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20251
UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass
class Draw:
    """Paths drawn at random: before .. number .. after with number in 1..count."""
    before: str
    count: int
    after: str = ""
    script = HERE / "pages.lua"

    def arguments(self):
        return [self.before, str(self.count), self.after]


@dataclass
class Listed:
    """Paths of a file, a line each, in random order."""
    file: pathlib.Path

    script = HERE / "paths.lua"

    def arguments(self):
        return [str(self.file)]


@dataclass
class Outcome:
    per_second: float
    p50_us: float
    p99_us: float


class Wrk:
    """A running wrk: one fixed path, a Draw or what is Listed."""

    def __init__(self, base, path, seconds, threads=2, connections=64):
        argv = ["wrk", "--latency", f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
        if isinstance(path, str):
            argv.append(base + path)
        else:
            argv += ["-s", str(path.script), base, "--", str(SEED), *path.arguments()]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)

    def running(self):
        return self.process.poll() is None

    def outcome(self):
        """Waits for the end; any request that was not answered well is an error."""
        text, _ = self.process.communicate()
        if self.process.returncode or "Non-2xx" in text or "Socket errors" in text:
            raise rig.BenchError(f"wrk was not served well:\n{text}")
        return Outcome(float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                       _percentile(text, 50), _percentile(text, 99))


def _percentile(text, percent):
    value, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(\w+)$", text, re.MULTILINE).groups()
    return float(value) * UNIT_US[unit]


def run(base, path, seconds, threads=2, connections=64):
    return Wrk(base, path, seconds, threads, connections).outcome()
