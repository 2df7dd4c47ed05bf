"""What players ask about characters: paths of ours, and files with the same bytes for nginx."""
import urllib.parse
from dataclasses import dataclass
from typing import Callable, Optional

import wrk
from figures import Goal

GOAL_QUICK = Goal(at_least=0.4, text=">= 0.40")
GOAL_THOROUGH = Goal(at_least=0.25, text=">= 0.25")


def _query(path, **parameters):
    return path + "?" + urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)


def _who(path):
    return lambda item, other: _query(path, server=item["server"], name=item["name"])


def _pair(item, other):
    return _query("/api/compare", a=f"{item['server']}:{item['name']}",
                  b=f"{other['server']}:{other['name']}")


@dataclass
class Question:
    """path(item, other) asks for a character of the board, or for two."""
    key: str
    what: str
    path: Callable
    goal: Optional[Goal] = None

    def mirror(self, api, sample, root):
        """The paths of ours and of the files below root, for wrk."""
        paths = list(dict.fromkeys(self.path(item, other)
                                   for item, other in zip(sample, sample[1:] + sample[:1])))
        (root / self.key).mkdir()
        for number, path in enumerate(paths):
            (root / self.key / f"{number}.json").write_bytes(api.get(path)[0])
        ours, theirs = root / f"{self.key}.ours", root / f"{self.key}.theirs"
        ours.write_text("".join(path + "\n" for path in paths), encoding="ascii")
        theirs.write_text("".join(f"/{self.key}/{number}.json\n" for number in range(len(paths))),
                          encoding="ascii")
        return wrk.Listed(ours), wrk.Listed(theirs)


ALL = [
    Question("character", "a character", _who("/api/character"), GOAL_QUICK),
    Question("around", "the places around a character", _who("/api/ranking/around"), GOAL_QUICK),
    Question("cutoffs", "cut-offs of a server",
             lambda item, other: _query("/api/ranking/cutoffs", server=item["server"]), GOAL_QUICK),
    Question("completion", "completion of two letters",
             lambda item, other: _query("/api/characters", prefix=item["name"][:2]), GOAL_QUICK),
    Question("explain", "a score explained", _who("/api/character/explain"), GOAL_THOROUGH),
    Question("compare", "two characters side by side", _pair, GOAL_THOROUGH),
    Question("class", "the first 20 of a class of a server",
             lambda item, other: _query("/api/ranking/top", limit=20, server=item["server"],
                                        **{"class": item["class"]})),
    Question("distribution", "how the scores of a server are spread",
             lambda item, other: _query("/api/ranking/distribution", server=item["server"])),
    Question("servers", "the servers with their averages", lambda item, other: "/api/servers"),
    Question("legions", "the legions of a server",
             lambda item, other: _query("/api/legions", server=item["server"])),
    Question("history", "30 days of a character, out of PostgreSQL", _who("/api/character/history")),
]
