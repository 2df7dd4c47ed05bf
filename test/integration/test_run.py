"""./run demo and ./run stop as a new user calls them, in a fresh copy with a space in its path."""

import json
import re
import shutil
import subprocess
import urllib.request

import pytest

from harness import REPO, clean_env, port_open

pytestmark = pytest.mark.timeout(400)
LEFT_OUT = shutil.ignore_patterns(".git", ".run", "build", "__pycache__", ".hypothesis")


@pytest.fixture
def checkout(tmp_path):
    copy = tmp_path / "a copy"
    shutil.copytree(REPO, copy, ignore=LEFT_OUT)
    yield copy
    run(copy, "stop", "--wipe")


def run(copy, *args):
    return subprocess.run([copy / "run", *args], env=clean_env(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)


def ports_of(copy):
    return [int(f.read_text(encoding="ascii")) for f in (copy / ".run").glob("*.port")]


def pids_of(copy):
    return {f.stem: f.read_text(encoding="ascii") for f in (copy / ".run").glob("*.pid")}


def api_of(demo):
    return re.search(r"^  (http://[0-9.:]+)/api/ranking/top", demo.stdout, re.MULTILINE).group(1)


def top_of(demo):
    with urllib.request.urlopen(api_of(demo) + "/api/ranking/top?limit=10", timeout=10) as reply:
        return json.load(reply)


def test_demo_again_stop_and_wipe(checkout):
    first = run(checkout, "demo")
    assert first.returncode == 0, first.stdout + first.stderr
    names = [i["name"] for i in top_of(first)["items"]]
    assert len(names) == 10
    assert all(f"  {name} " in first.stdout for name in names)
    pids = pids_of(checkout)
    assert set(pids) == {"postgresql", "redis", "beat", "worker", "api"}

    again = run(checkout, "demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert pids_of(checkout) == pids
    assert [i["name"] for i in top_of(again)["items"]] == names
    assert "kept: " in again.stdout

    ports = ports_of(checkout)
    assert len(ports) == 3 and all(port_open(p) for p in ports)
    # A pid file of a process that is not ours any more must not cost that process its life.
    stranger = subprocess.Popen(["sleep", "300"])
    try:
        (checkout / ".run" / "beat.pid").rename(checkout / ".run" / "beat.kept")
        wrong = pids["beat"].split()
        wrong[0] = str(stranger.pid)
        (checkout / ".run" / "beat.pid").write_text(" ".join(wrong) + "\n", encoding="ascii")
        assert run(checkout, "stop").returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert not any(port_open(p) for p in ports)

    # The beat that was hidden from stop is ours to end.
    (checkout / ".run" / "beat.kept").rename(checkout / ".run" / "beat.pid")
    assert run(checkout, "stop", "--wipe").returncode == 0
    assert not (checkout / ".run").exists()
