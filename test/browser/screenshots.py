"""Pictures of every page in both themes, sizes and languages, for looking at them.

    python3 test/browser/screenshots.py FOLDER [--only TEXT] [--count N]
    python3 test/browser/screenshots.py --readme     the three of the README, into docs/images/

Pictures of the README are made smaller with pngquant where that is installed.
"""

import argparse
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

from browser import DESKTOP, PHONE, Browser
from stack import HOSTILE, Stack

REPO = Path(__file__).resolve().parents[2]
README = {"ranking": ("ranking", DESKTOP, "light", "ko"), "character": ("character", (1280, 1100), "dark", "ko"),
          "phone": ("ranking", PHONE, "dark", "ko")}
SIZES = {"phone": PHONE, "desktop": DESKTOP}


def addresses(stack):
    with urllib.request.urlopen(f"{stack.url}/api/ranking/top?limit=60&server={stack.server}", timeout=10) as r:
        items = [c for c in json.load(r)["items"] if c["name"].isalnum() and len(c["name"]) < 12]
    one = {"server": stack.server, "name": items[8]["name"]}
    pairs = {k: f"{c['server']}:{c['name']}" for k, c in zip("abc", items[3:])}

    def at(path, **params):
        return f"{path}?{urllib.parse.urlencode(params)}" if params else path

    return {"ranking": "/", "server": at("/", server="Nezekan", page=3), "hostile": at("/", server=stack.server),
            "character": at("/character", **one), "lookup": at("/character", server=stack.server, name="새사람"),
            "compare": at("/compare", **pairs), "compare-empty": "/compare", "servers": "/servers",
            "one-server": at("/servers", server=stack.server), "score": "/score", "missing": "/no/such/page"}


def take(browser, stack, path, how, target, full):
    size, theme, lang = how
    browser.screen(size, theme=theme, lang=lang)
    browser.reset(stack.url)
    browser.driver.get(stack.url + path)
    if "missing" not in target.name:
        browser.wait_ready()
        browser.until("return document.querySelector('[aria-busy]') === null")
    if "/character?" in path and "lookup" not in target.name:
        browser.until("return document.querySelector('.line-host canvas') !== null")
    time.sleep(0.4)  # what comes after the first data, beside the board
    browser.screenshot(target, full=full)


def readme(browser, stack):
    folder = REPO / "docs" / "images"
    folder.mkdir(exist_ok=True)
    pages = addresses(stack)
    for name, (page, *how) in README.items():
        target = folder / f"{name}.png"
        take(browser, stack, pages[page], how, target, full=False)
        if shutil.which("pngquant"):
            subprocess.run(["pngquant", "--force", "--strip", "--quality", "70-95", "--speed", "1", "--output", target, target], check=True)


def everything(browser, stack, folder, only):
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in addresses(stack).items():
        for size_name, size in SIZES.items():
            for theme, lang in (("light", "ko"), ("dark", "ko"), ("light", "en")):
                target = folder / f"{name}-{size_name}-{theme}-{lang}.png"
                if only in target.name:
                    take(browser, stack, path, (size, theme, lang), target, full=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("folder", nargs="?", type=Path)
    args.add_argument("--only", default="")
    args.add_argument("--count", type=int, default=100_000)
    args.add_argument("--readme", action="store_true")
    given = args.parse_args()
    if not given.readme and not given.folder:
        args.error("a folder, or --readme")
    stack = Stack(given.count, hostile=HOSTILE if given.folder else ())
    browser = Browser()
    try:
        if given.readme:
            readme(browser, stack)
        if given.folder:
            everything(browser, stack, given.folder, given.only)
    finally:
        browser.close()
        stack.close()


if __name__ == "__main__":
    main()
