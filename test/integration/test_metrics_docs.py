"""docs/metrics.md against what the programs show."""

import re

from harness import REPO
from observe import PROGRAMS, Observed

DOCUMENT = REPO / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (\w+) \| (.*?) \| (.*?) \|$", re.MULTILINE)
SECTIONS = {"Every program": "common", **{f"aion2-{p}": p for p in PROGRAMS}}


def shown(text):
    """name -> (type, labels, help) of a page of figures."""
    found = {}
    for name, meaning in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE):
        kind = re.search(rf"^# TYPE {name} (\w+)$", text, re.MULTILINE)[1]
        sample = re.search(rf"^{name}(?:_count)?\{{(.*)\}} ", text, re.MULTILINE)
        labels = re.findall(r'(\w+)="', sample[1]) if sample else []
        found[name] = (kind, ", ".join(f"`{x}`" for x in labels), meaning)
    return found


def documented():
    text = DOCUMENT.read_text(encoding="utf-8")
    found = {}
    for title, body in re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        if title in SECTIONS:
            found[SECTIONS[title]] = {m[1]: (m[2], m[3], m[4]) for m in ROW.finditer(body)}
    return found


def rows(table):
    return "\n".join(f"| `{n}` | {kind} | {labels} | {meaning} |"
                     for n, (kind, labels, meaning) in table.items())


def test_every_name_is_documented_as_the_programs_show_it(spawn, pg, redis_server, tmp_path):
    observed = Observed(spawn, pg, redis_server, tmp_path)
    pages = {p: shown(observed.get(p, "/metrics")[1]) for p in PROGRAMS}
    common = set.intersection(*(set(page) for page in pages.values()))
    expected = {"common": {n: pages["api"][n] for n in pages["api"] if n in common}}
    for program, page in pages.items():
        expected[program] = {n: row for n, row in page.items() if n not in common}
    known = documented()
    for section, table in expected.items():
        # What is only shown once somebody has asked for it has no sample to read labels from.
        want = {n: (kind, labels or known.get(section, {}).get(n, ("", ""))[1], meaning)
                for n, (kind, labels, meaning) in table.items()}
        assert known.get(section) == want, f"section of {section} should hold:\n{rows(want)}"
