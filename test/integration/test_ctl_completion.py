"""bash completion: bash itself is asked, and every option of the help texts is known to it."""

import re
import subprocess

import pytest

import harness
from harness import run_program


def ctl(*args):
    return run_program("aion2ctl", *args, check=True).stdout


def complete(*words):
    """What bash would offer for the last of the words."""
    line = " ".join(f"'{w}'" for w in ("aion2ctl", *words))
    script = ctl("completion", "bash") + f"""
COMP_WORDS=({line})
COMP_CWORD={len(words)}
_aion2ctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True,
                          env=harness.clean_env({}), timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split()


def commands():
    """name -> its help text."""
    names = re.findall(r"^  ([a-z]+) ", ctl("--help"), re.MULTILINE)
    return {name: ctl(name, "--help") for name in names}


def test_commands_are_offered():
    offered = complete("")
    assert set(commands()) < set(offered) and "--version" in offered
    assert complete("mig") == ["migrate"]


def test_every_option_of_the_help_is_offered_and_the_other_way_round():
    for name, text in commands().items():
        described = text.split("Examples:")[0]
        in_help = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", described)) | {"--help"}
        offered = {w for w in complete(name, "--") if w.startswith("--")}
        for verb in (w for w in complete(name, "") if not w.startswith("-")):
            offered |= {w for w in complete(name, verb, "--") if w.startswith("--")}
        assert offered == in_help, name


def test_values_of_options_are_offered():
    assert complete("import", "--format", "") == ["csv", "ndjson"]
    assert complete("import", "--format", "n") == ["ndjson"]
    assert complete("call", "--id", "") == []


def test_verbs_are_offered():
    assert "bash" in complete("completion", "")
    assert complete("completion", "bash", "--h") == ["--help"]


@pytest.mark.parametrize("args", [("completion", "zsh"), ("completion", "bash", "more"),
                                  ("completion", "bash", "--sideways")])
def test_wrong_words(args):
    done = run_program("aion2ctl", *args)
    assert done.returncode == 64 and done.stdout == "" and "aion2ctl completion" in done.stderr


def test_install_puts_it_where_bash_completion_looks():
    plan = subprocess.run(["make", "-n", "install", "DESTDIR=/there", "PREFIX=/usr"],
                          cwd=harness.REPO, check=True, timeout=60, capture_output=True, text=True)
    assert re.search(r"aion2ctl completion bash *>"
                     r"/there/usr/share/bash-completion/completions/aion2ctl", plan.stdout)
