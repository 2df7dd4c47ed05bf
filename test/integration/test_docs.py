"""The documents against the programs: settings, commands and links that are written down exist."""

import re

import pytest

from harness import REPO, run_program

PROGRAMS = ["aion2-worker", "aion2-beat", "aion2-api", "aion2ctl"]
DOCUMENTS = sorted([*REPO.glob("*.md"), *REPO.glob("docs/*.md")])

SETTING = re.compile(
    r"^  (?P<name>[A-Z][A-Z0-9_]+)\s+(?P<help>\S.*?)\n\s+"
    r"default: (?P<default>[^;\n]*)(?:; (?P<range>[^\n]*))?$",
    re.MULTILINE | re.DOTALL,
)


def settings_of(program):
    """Rows (name, default, range, meaning) as --help prints them."""
    usage = run_program(program, "--help", check=True).stdout
    rows = [(m["name"], m["default"], m["range"] or "", " ".join(m["help"].split()))
            for m in SETTING.finditer(usage)]
    assert rows, f"{program} --help shows no settings"
    return rows


def documented(program):
    """The rows of the program's table in docs/configuration.md."""
    text = (REPO / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {program}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/configuration.md has no section {program}"
    rows = []
    for line in section.group(1).splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and re.fullmatch(r"`[A-Z0-9_]+`", cells[0]):
            rows.append(tuple(re.sub(r"\\([|<])", r"\1", c.strip("`")) for c in cells))
    return rows


def as_table(rows):
    """What belongs into the document, for the message of a failing test."""
    lines = ["| name | default | range | meaning |", "| --- | --- | --- | --- |"]
    for row in rows:
        name, default, span, meaning = (re.sub(r"([|<])", r"\\\1", c) for c in row)
        lines.append(f"| `{name}` | {default} | {span} | {meaning} |")
    return "\n".join(lines)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_setting_is_documented_as_the_program_has_it(program):
    rows = settings_of(program)
    assert documented(program) == rows, (
        f"docs/configuration.md, section {program}, should hold:\n{as_table(rows)}"
    )


def commands_of_aion2ctl():
    usage = run_program("aion2ctl", "--help", check=True).stdout
    return re.findall(r"^  ([a-z]+) ", usage, re.MULTILINE)


@pytest.mark.parametrize("argv", [*([p] for p in PROGRAMS), *(["aion2ctl", c] for c in
                         commands_of_aion2ctl())], ids=lambda argv: " ".join(argv))
def test_help_fits_a_terminal_and_has_examples_and_exit_codes(argv):
    text = run_program(*argv, "--help", check=True).stdout
    assert [line for line in text.splitlines() if len(line) > 80 or line != line.rstrip()] == []
    assert text.startswith(f"Usage: {argv[0]} ") and "Exit codes: " in text
    if len(argv) == 2:
        assert f"  {' '.join(argv)}" in text.partition("Examples:\n")[2]


@pytest.mark.parametrize("program", PROGRAMS)
def test_check_config_shows_the_documented_defaults(program):
    shown = dict(re.findall(r"^([A-Z0-9_]+)=(.*?)  \(default\)$",
                            run_program(program, "--check-config", check=True).stdout, re.MULTILINE))
    expected = {n: "" if d == "(none)" else d for n, d, _, _ in documented(program)}
    assert shown == expected


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_between_documents_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = document if not path else (document.parent / path)
        assert found.exists(), f"{document.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
            assert anchor in slugs, f"{document.name}: {target}"


def test_the_readme_leads_to_every_document():
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    for document in [*REPO.glob("docs/*.md"), REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md"]:
        assert f"({document.relative_to(REPO)})" in readme, document.name


def test_the_readme_knows_every_folder():
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    for folder in REPO.iterdir():
        if folder.is_dir() and list(folder.rglob("*.[ch]")) and folder.name != "build":
            assert f"`{folder.name}/`" in readme, folder.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_commands_in_documents_exist(document):
    known = commands_of_aion2ctl()
    text = document.read_text(encoding="utf-8")
    for command in re.findall(r"\baion2ctl ([a-z]+)\b", text):
        assert command in known, f"{document.name}: aion2ctl {command}"
    for command in re.findall(r"\./run ([a-z]+)\b", text):
        assert command in ("demo", "stop", "test", "help"), f"{document.name}: ./run {command}"


def test_the_changelog_has_the_version_of_the_programs():
    version = run_program("aion2ctl", "--version", check=True).stdout.split()[1]
    changelog = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE)
    assert f"aion2rank:{version}" in (REPO / "compose.yaml").read_text(encoding="utf-8")
