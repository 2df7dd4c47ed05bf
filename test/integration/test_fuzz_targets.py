"""Every fuzz target starts from something that means something to it."""

import re

import pytest

from harness import REPO

FUZZ = REPO / "test" / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_target_has_seeds(target):
    assert any(path.stat().st_size for path in (FUZZ / "corpus" / target).iterdir())


def test_every_corpus_and_every_dependency_belongs_to_a_target():
    assert {path.name for path in (FUZZ / "corpus").iterdir()} <= set(TARGETS)
    for name, files in re.findall(r"^FUZZ_DEPS_(\w+)\s*:=\s*(.+)$",
                                  (FUZZ / "deps.mk").read_text(encoding="utf-8"), re.MULTILINE):
        assert f"fuzz_{name}" in TARGETS
        for pattern in re.sub(r"\$\(wildcard ([^)]+)\)", r"\1", files).split():
            assert list(REPO.glob(pattern)), pattern
