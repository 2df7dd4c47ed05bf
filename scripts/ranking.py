"""ranking.py health URL | top URL RESULT-FILE: what ./run demo asks the api.

top waits until the api serves the generation that the batch has just published, then prints the
first ten as a table.
"""

import json
import sys
import time
import unicodedata
import urllib.request
from datetime import datetime, timezone

COLUMNS = [  # title, field, right-aligned
    ("rank", "rank", True),
    ("name", "name", False),
    ("server", "server", False),
    ("class", "class", False),
    ("level", "level", True),
    ("power", "power", True),
    ("score", "power_score", True),
    ("tier", "power_rank", False),
]


def get(url):
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.load(reply)


def width(text):
    """Columns on a terminal: Korean letters take two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text, columns, right):
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def print_table(items):
    rows = [[title for title, _, _ in COLUMNS]]
    for item in items:
        values = [item.get(field) for _, field, _ in COLUMNS]
        rows.append(["-" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in values])
    widths = [max(width(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        cells = [pad(c, w, right) for c, w, (_, _, right) in zip(row, widths, COLUMNS)]
        print("  " + "  ".join(cells).rstrip())


def parse_time(text):
    when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def published_at(result_file):
    """When the batch that we asked for published; None when it published nothing."""
    with open(result_file, encoding="utf-8") as f:
        result = json.load(f)
    if result.get("status") != "success":
        return None
    return parse_time(result["timestamp"])


def top(base, result_file, patience_s=15):
    wanted = published_at(result_file)
    deadline = time.monotonic() + patience_s
    while True:
        board = get(f"{base}/api/ranking/top?limit=10")
        fresh = board["is_snapshot"] and (
            wanted is None or parse_time(board["generated_at"]) >= wanted
        )
        if fresh:
            break
        if time.monotonic() > deadline:
            print("the api does not serve the new generation", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(f"Top {len(board['items'])} of {get(base + '/api/ranking?page_size=1')['total']:,} "
          f"characters, generation of {board['generated_at']}:\n")
    print_table(board["items"])
    return 0


def main(argv):
    sys.stdout.reconfigure(encoding="utf-8")  # names are Korean, whatever the locale
    if argv[1:2] == ["health"]:
        return 0 if get(argv[2] + "/health").get("status") == "ok" else 1
    if argv[1:2] == ["top"]:
        return top(argv[2], argv[3])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv))
