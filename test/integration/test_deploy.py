"""Dockerfile, compose.yaml and ./run: what can be checked without a container engine."""

import re
import subprocess

import pytest
import yaml

from harness import REPO, bin_dir, run_program

PROGRAMS = ["aion2-worker", "aion2-beat", "aion2-api", "aion2ctl"]
APP_SERVICES = {"worker": "aion2-worker", "beat": "aion2-beat", "api": "aion2-api"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((REPO / "compose.yaml").read_text(encoding="utf-8"))


def docker_stages():
    """Packages that each stage of the Dockerfile installs."""
    text = (REPO / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stages = []
    for line in text.splitlines():
        if line.startswith("FROM "):
            stages.append([])
        found = re.search(r"apt-get install -y --no-install-recommends\s+(.*?)\s+&&", line)
        if found:
            stages[-1] += found.group(1).split()
    return stages


def installed(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
                          capture_output=True, text=True, check=False)
    return done.stdout == "installed"


def package_of(library):
    """The Debian package that owns a shared library, by its file name."""
    out = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True, text=True,
                         check=True).stdout
    return out.split(":")[0]


def test_every_package_of_the_dockerfile_exists():
    build, runtime = docker_stages()
    assert "gcc" in build and "libpq5" in runtime
    # The tests run where the programs were built, so all of them are installed here.
    assert [p for p in build + runtime if not installed(p)] == []


def test_the_image_has_every_library_that_the_programs_need():
    needed = set()
    for program in PROGRAMS:
        out = subprocess.run(["objdump", "-p", bin_dir() / program], capture_output=True, text=True,
                             check=True).stdout
        needed |= set(re.findall(r"^\s*NEEDED\s+(\S+)", out, re.MULTILINE))
    # libc6 is in every image; the sanitizers are never in a release.
    needed = {n for n in needed if not re.match(r"lib(asan|ubsan|c|m|pthread)\.so", n)}
    assert needed
    data = {"tzdata", "ca-certificates"}  # time zones of schedules, whom HTTPS trusts
    assert {package_of(n) for n in needed} | data == set(docker_stages()[1])


def test_the_build_context_has_what_the_makefile_reads():
    ignored = (REPO / ".dockerignore").read_text(encoding="utf-8").split("\n")
    for included in re.findall(r"^include (\S+)", (REPO / "Makefile").read_text(), re.MULTILINE):
        parts = included.split("/")
        parents = {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
        assert not parents & set(ignored), included


def test_compose_starts_in_the_right_order(compose):
    services = compose["services"]
    assert set(services) == {"postgres", "redis", "migrate", *APP_SERVICES}
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in APP_SERVICES:
        needs = {k: v["condition"] for k, v in services[name]["depends_on"].items()}
        assert needs == {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }
        assert services[name]["restart"] == "unless-stopped"
    for name, service in services.items():
        for used in service.get("depends_on", {}):
            assert used in services
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"]
        assert "healthcheck" in service or name == "migrate"


def test_compose_keeps_the_queue_and_hides_the_servers(compose):
    redis = compose["services"]["redis"]["command"]
    options = dict(zip(redis[1::2], redis[2::2]))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert "ports" not in compose["services"]["redis"]
    assert "ports" not in compose["services"]["postgres"]
    assert compose["services"]["api"]["ports"] == ["${API_BIND:-127.0.0.1:8000}:8000",
                                                   "${ADMIN_BIND:-127.0.0.1:8001}:8001"]


def test_compose_gives_time_to_stop(compose):
    env = run_program("aion2-worker", "--check-config", check=True).stdout
    grace = int(re.search(r"^SHUTDOWN_GRACE=(\d+)", env, re.MULTILINE).group(1))
    assert int(compose["services"]["worker"]["stop_grace_period"].rstrip("s")) > grace


@pytest.mark.parametrize("service", APP_SERVICES)
def test_compose_runs_programs_that_exist_with_settings_that_exist(compose, service):
    program = APP_SERVICES[service]
    described = compose["services"][service]
    usage = run_program(program, "--help", check=True).stdout
    assert described["command"] == [program]
    assert described["healthcheck"]["test"] == ["CMD", program, "--healthcheck", "ready"]
    assert "--healthcheck" in usage
    known = "".join(run_program(p, "--help", check=True).stdout for p in PROGRAMS)
    for setting in described["environment"]:
        assert re.search(rf"^  {setting}\s", known, re.MULTILINE), setting


def test_run_explains_itself_and_refuses_what_it_does_not_know():
    def run(*args):
        return subprocess.run([REPO / "run", *args], capture_output=True, text=True, check=False)

    assert run("help").returncode == 0 and "stop --wipe" in run("help").stdout
    for words in (["nonsense"], ["demo", "extra"], ["stop", "--all"]):
        refused = run(*words)
        assert refused.returncode == 64 and "./run" in refused.stderr, words


@pytest.mark.parametrize("script", sorted(
    str(p.relative_to(REPO)) for p in [REPO / "run", *REPO.glob("scripts/*.sh"), REPO / ".ci/run"]))
def test_scripts_are_valid_shell(script):
    done = subprocess.run(["bash", "-n", REPO / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
