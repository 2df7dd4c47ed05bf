"""One stack and one browser for all tests of a module: with xdist they go to one worker (loadgroup)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402
from browser import Browser  # noqa: E402
from stack import Stack  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in Path(str(item.fspath)).parts[-2:]:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session", autouse=True)
def _stale_folders():
    harness.remove_stale_temp_dirs()


@pytest.fixture(scope="module")
def stack():
    """A board of 100 thousand characters."""
    made = Stack()
    yield made
    log = made.api.log()
    made.close()
    assert not harness.FORBIDDEN_IN_LOG.search(log)


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium, stack):
    """Clean, and nothing to complain about at the end but what the test lists in `allowed`."""
    chromium.reset(stack.url)
    chromium.allowed = []
    yield chromium
    left = chromium.complaints(chromium.allowed)
    assert not left, left
