"""What the benchmark needs and what it runs on. Nothing here names the machine."""
import importlib.util
import os
import platform
import shutil
import subprocess
from importlib import metadata

PG_BIN = "/usr/lib/postgresql/15/bin"

# program -> Debian package; the folders are looked at when PATH has no such program.
PROGRAMS = {
    "make": "make",
    "redis-server": "redis-server",
    "postgres": "postgresql-15",
}
MODULES = {"psycopg2": "python3-psycopg2", "redis": "python3-redis"}
# What each part of the benchmark needs beside that.
PART_PROGRAMS = {
    "batch": {},
    "api": {"nginx": "nginx-light", "wrk": "wrk"},
    "jobs": {"redis-cli": "redis-tools", "sidekiq": "ruby-sidekiq", "rq": "python3-rq"},
}
PART_MODULES = {
    "batch": {"celery": "python3-celery", "sqlalchemy": "python3-sqlalchemy"},
    "api": {},
    "jobs": {"celery": "python3-celery", "rq": "python3-rq"},
}
FOLDERS = [PG_BIN, "/usr/sbin", "/sbin"]


def find_program(name):
    """Full path of a program, or None."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(FOLDERS))


def missing_packages(parts):
    """Debian packages that have to be installed first, sorted."""
    programs, modules = dict(PROGRAMS), dict(MODULES)
    for part in parts:
        programs.update(PART_PROGRAMS[part])
        modules.update(PART_MODULES[part])
    missing = {package for name, package in programs.items() if not find_program(name)}
    missing |= {package for name, package in modules.items()
                if importlib.util.find_spec(name) is None}
    return sorted(missing)


def _first_line(argv):
    """First line that a program prints about itself (nginx uses standard error)."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines else ""


def _field(path, key):
    """Value of the first `key : value` line of a file in /proc, or ''."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def _ram_gb():
    return round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / (1024 * 1024))


def _module_version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


def describe():
    """Hardware and versions, in the order in which they are shown."""
    facts = {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{_ram_gb()} GB",
        # Without the suffix of whoever built it.
        "kernel": platform.system() + " " + platform.release().partition("-")[0],
        "compiler": _first_line(["gcc", "--version"]),
        "PostgreSQL": _first_line([f"{PG_BIN}/postgres", "--version"]).split(") ")[-1],
        "Redis": _first_line(["redis-server", "--version"]).split()[2].removeprefix("v="),
        "Python": platform.python_version(),
        "Celery": _module_version("celery"),
        "SQLAlchemy": _module_version("sqlalchemy"),
    }
    if find_program("sidekiq"):
        facts["Sidekiq"] = _first_line(["sidekiq", "--version"]).split()[-1]
    if _module_version("rq") != "?":
        facts["RQ"] = _module_version("rq")
    if find_program("nginx"):
        facts["nginx"] = _first_line([find_program("nginx"), "-v"]).split("/")[-1]
    if find_program("wrk"):
        facts["wrk"] = _first_line(["wrk", "-v"]).split(" [")[0].removeprefix("wrk ")
    return facts
