"""How heavy and how quick the players' pages are, in a real browser with an empty cache and a warm one.

    python3 test/bench/web.py [--count N] [--runs N]    prints the table of docs/benchmarks.md

Bytes are those on the wire (compressed, with headers); times are from the start of the navigation. A phone is
simulated with 4 times slower processor, 1.6 Mbit/s and 150 ms to the server (Lighthouse's "slow 4G").
"""

import argparse
import json
import statistics
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))

from browser import DESKTOP, PHONE, Browser  # noqa: E402
from stack import Stack  # noqa: E402

_FIGURES = """
const all = [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')];
const paint = performance.getEntriesByName('first-contentful-paint')[0];
return {bytes: all.reduce((n, e) => n + e.transferSize, 0), requests: all.length, paint: paint ? paint.startTime : null,
        data: window.seen.firstRow, shift: window.seen.shift};
"""


def pages(stack):
    with urllib.request.urlopen(f"{stack.url}/api/ranking/top?limit=12&server={stack.server}", timeout=10) as r:
        items = json.load(r)["items"]
    one = urllib.parse.urlencode({"server": stack.server, "name": items[9]["name"]})
    pair = urllib.parse.urlencode({k: f"{c['server']}:{c['name']}" for k, c in zip("ab", items[7:])})
    return {"`/`": "/", "`/character`": f"/character?{one}", "`/compare`": f"/compare?{pair}",
            "`/servers`": "/servers", "`/score`": "/score"}


def slow(browser, on):
    browser.cdp("Emulation.setCPUThrottlingRate", rate=4 if on else 1)
    browser.cdp("Network.emulateNetworkConditions", offline=False, latency=150 if on else 0,
                downloadThroughput=1.6e6 / 8 if on else -1, uploadThroughput=750e3 / 8 if on else -1)


def visit(browser, stack, path):
    browser.open(stack.url + path)
    browser.until("return window.seen.firstRow !== null")
    time.sleep(1)  # what comes after the first data counts, too
    return browser.js(_FIGURES)


def measure(browser, stack, path, runs):
    browser.screen(PHONE)
    slow(browser, True)
    cold = []
    for _ in range(runs):
        browser.reset(stack.url)
        cold.append(visit(browser, stack, path))
    warm = visit(browser, stack, path)
    slow(browser, False)
    browser.screen(DESKTOP)
    browser.reset(stack.url)
    fast = [visit(browser, stack, path) for _ in range(runs)]
    middle = lambda rows, key: statistics.median(r[key] for r in rows)  # noqa: E731
    return {"bytes": max(r["bytes"] for r in cold), "requests": cold[-1]["requests"], "again": warm["bytes"],
            "paint": middle(cold, "paint"), "data": middle(cold, "data"), "desktop": middle(fast, "data"),
            "shift": max(r["shift"] for r in cold + fast)}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--count", type=int, default=100_000)
    args.add_argument("--runs", type=int, default=3)
    given = args.parse_args()
    stack = Stack(given.count, hostile=())
    browser = Browser()
    print("| page | first load, KB | requests | again, KB | slow phone: first paint, s | slow phone: data shown, s"
          " | desktop: data shown, s | layout shift |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    try:
        for name, path in pages(stack).items():
            m = measure(browser, stack, path, given.runs)
            print(f"| {name} | {m['bytes'] / 1000:.1f} | {m['requests']} | {m['again'] / 1000:.1f} | {m['paint'] / 1000:.2f}"
                  f" | {m['data'] / 1000:.2f} | {m['desktop'] / 1000:.2f} | {m['shift']:.4f} |", flush=True)
    finally:
        browser.close()
        stack.close()


if __name__ == "__main__":
    main()
