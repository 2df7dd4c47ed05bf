"""Fixtures: real servers, our programs. Everything is safe under pytest-xdist.

    pg            a fresh database with every migration; pg.url, pg.query(), pg.value(), pg.connect(),
                  pg.stop("immediate"), pg.start(), pg.restart()
    pg_empty      the same without migrations
    redis_server  a fresh Redis; .url, .client(), .kill(), .start(), .pause(), ...
    make_redis    the same as a factory: make_redis(appendonly=True)
    env           DATABASE_URL and REDIS_URL of the two
    ctl           ctl("import", path): runs aion2ctl with env; CompletedProcess
    spawn         spawn("aion2-worker", env=..., args=[...]): a Program; killed at the end, its log
                  checked for bugs and shown when the test fails
"""

import os
from pathlib import Path

import pytest

import harness
from servers import Postgres, Redis


def pytest_collection_modifyitems(items):
    if os.environ.get("AION2_SOAK") == "1":
        return
    skip = pytest.mark.skip(reason="soak test; set AION2_SOAK=1")
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see at teardown whether the test failed."""
    outcome = yield
    if call.when == "call":
        item.test_failed = outcome.get_result().failed


def show_log_if_failed(request, title, text, lines=150):
    if getattr(request.node, "test_failed", False):
        tail = "\n".join(text.splitlines()[-lines:])
        print(f"\n----- log of {title} -----\n{tail}")


@pytest.fixture(scope="session", autouse=True)
def _stale_folders():
    harness.remove_stale_temp_dirs()


@pytest.fixture(scope="session")
def pg_cluster():
    """One cluster per worker of xdist."""
    cluster = Postgres()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="session")
def _pg_template(pg_cluster):
    """A database that `aion2ctl migrate` has brought up to date once."""
    database = pg_cluster.create_database()
    harness.run_program("aion2ctl", "migrate", env={"DATABASE_URL": database.url}, check=True)
    return database


def _fresh_database(request, cluster, template):
    if not cluster.running():
        cluster.start()
    log_start = len(cluster.log())
    database = cluster.create_database(template)
    yield database
    show_log_if_failed(request, "PostgreSQL", cluster.log()[log_start:], lines=40)
    if not cluster.running():
        cluster.start()
    database.drop()


@pytest.fixture
def pg_empty(request, pg_cluster):
    yield from _fresh_database(request, pg_cluster, None)


@pytest.fixture
def pg(request, pg_cluster, _pg_template):
    yield from _fresh_database(request, pg_cluster, _pg_template.name)


@pytest.fixture
def make_redis(request):
    made = []

    def make(appendonly=False, options=(), env=()):
        made.append(Redis(appendonly, options, env))
        return made[-1]

    yield make
    for server in made:
        show_log_if_failed(request, "Redis", server.log(), lines=20)
        server.destroy()


@pytest.fixture
def redis_server(make_redis):
    return make_redis()


@pytest.fixture
def env(pg, redis_server):
    return {"DATABASE_URL": pg.url, "REDIS_URL": redis_server.url}


@pytest.fixture
def ctl(env):
    def run(*args, **kwargs):
        return harness.run_program("aion2ctl", *args, env=env, **kwargs)

    return run


@pytest.fixture
def spawn(request, tmp_path):
    programs = []

    def start(program, env=None, args=(), log_may_hold=None):
        """log_may_hold: a text that makes a forbidden line acceptable in this test."""
        log = Path(tmp_path) / f"{len(programs)}-{Path(program).name}.log"
        programs.append(harness.Program(program, args, env, log))
        programs[-1].log_may_hold = log_may_hold
        return programs[-1]

    start.programs = programs
    yield start
    for p in programs:
        p.destroy()
        show_log_if_failed(request, f"{p.name} (pid {p.pid})", p.log())
    for p in programs:
        _assert_clean_log(p)


def _assert_clean_log(program):
    for bad in harness.FORBIDDEN_IN_LOG.finditer(program.log()):
        allowed = program.log_may_hold
        assert allowed and allowed in bad.group(0), (
            f"{program.name} logged: {bad.group(0)}\n{program.log()[bad.start():][:4000]}"
        )
