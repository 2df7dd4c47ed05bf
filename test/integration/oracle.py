"""The rules of docs/scoring.md a second time, as plainly as Python can say them.

Nothing here is taken from the C code: whole sums are ints, comparisons are exact (Decimal and
Fraction), everything else is Python's float, which is the IEEE double.
"""

import dataclasses
import json
import math
from decimal import Decimal
from fractions import Fraction

STATS = ("attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense",
         "damage_reduction", "hp")
LIMIT = 10**12
MIN_SAMPLE_SIZE = 10

TIER_STARTS = [
    (0, "S5"), (.06, "S4"), (.12, "S3"), (.18, "S2"), (.24, "S1"),
    (.3, "A5"), (1.24, "A4"), (2.18, "A3"), (3.12, "A2"), (4.06, "A1"),
    (5, "B5"), (9, "B4"), (13, "B3"), (17, "B2"), (21, "B1"),
    (25, "C5"), (30, "C4"), (35, "C3"), (40, "C2"), (45, "C1"),
    (50, "D5"), (60, "D4"), (70, "D3"), (80, "D2"), (90, "D1"),
]
TIERS = [tier for _, tier in TIER_STARTS]


@dataclasses.dataclass(frozen=True)
class Character:
    """A row of characters; payload is the text of the JSON, None for SQL NULL."""

    id: int
    server: str
    name: str
    cls: str
    level: int
    power: int | None
    payload: str | None


@dataclasses.dataclass
class Entry:
    """A row of ranking_entries, but for run_id."""

    id: int
    server: str
    name: str
    cls: str
    level: int
    power: int | None
    score: int
    tier: str | None = None
    percentile: float | None = None
    scored_at: object = None
    stale: bool = False
    rank: int = 0
    server_rank: int = 0
    class_rank: int = 0
    server_class_rank: int = 0


@dataclasses.dataclass
class Board:
    """What a run publishes."""

    entries: list  # in ranking order
    averages: dict  # server -> eight ints
    samples: dict  # server -> how many were scored
    failed: list  # (id, stat), stat "" when the payload as a whole is wrong; by id
    processed: int

    def of(self, server):
        return [e for e in self.entries if e.server == server]

    def cutoffs(self, server):
        """Tiers that somebody scored in this run has."""
        found = {}
        for e in self.of(server):
            if not e.stale:
                cut = found.setdefault(e.tier, {"min_score": e.score, "count": 0})
                cut["count"] += 1
                cut["min_score"] = min(cut["min_score"], e.score)
        return found


def parse(text):
    """JSON with exact numbers."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def fault(payload):
    """The first stat that makes it fail, "" for the payload itself, None when it is fine."""
    if not isinstance(payload, dict):
        return ""
    for stat in STATS:
        value = payload.get(stat, Decimal(0))
        if not isinstance(value, Decimal) or value < 0 or value > LIMIT:
            return stat
    return None


def is_profile(payload):
    """Seen at the source, not read in full: on another scale, never scored."""
    return isinstance(payload, dict) and payload.get("mode") == "profile"


def average(values):
    """values in ascending order of the ids."""
    if all(Fraction(v).denominator == 1 for v in values):
        return sum(int(v) for v in values) // len(values)
    total = 0.0
    for v in values:
        total += float(v)
    return math.floor(total / len(values))


def power_score(stats, averages):
    """stats and averages by name."""

    def ratio(stat):
        return 1.0 if averages[stat] == 0 else float(stats[stat]) / averages[stat]

    crit = (ratio("crit_rate") + ratio("crit_damage")) / 2.0
    survive = (ratio("defense") + ratio("damage_reduction") + ratio("hp")) / 3.0
    value = (0.30 * ratio("attack") + 0.20 * ratio("damage_amp") + 0.30 * crit
             + 0.10 * ratio("attack_speed") + 0.10 * survive)
    return round(1000 * value)


def rounded(p):
    return float(f"{p:.2f}")


def tier_of(percentile):
    return [tier for start, tier in TIER_STARTS if percentile >= start][-1]


def relaxed_tier(p):
    letter = "S" if p < 5 else "A" if p < 25 else "B" if p < 50 else "C" if p < 75 else "D"
    return f"{letter}{min(5, max(1, math.floor((p % 25) / 25 * 5) + 1))}"


def ranking_key(e):
    return (-e.score, e.power is None, -(e.power or 0), -e.level, e.id)


def rate(entries):
    """Percentile and tier of the characters of one server that this run has scored."""
    entries = sorted(entries, key=ranking_key)
    n = len(entries)
    higher = 0
    for i, e in enumerate(entries):
        if i > 0 and e.score != entries[i - 1].score:
            higher = i
        if n < MIN_SAMPLE_SIZE:
            p = i / n * 100.0
            e.percentile, e.tier = rounded(p), relaxed_tier(p)
        else:
            e.percentile = rounded(higher / n * 100.0)
            e.tier = tier_of(e.percentile)


def place(entries):
    """Sorts and sets the four ranks."""
    entries.sort(key=ranking_key)
    counts = {}

    def position(*key):
        counts[key] = counts.get(key, 0) + 1
        return counts[key]

    for e in entries:
        e.rank = position("all")
        e.server_rank = position("server", e.server)
        e.class_rank = position("class", e.cls)
        e.server_class_rank = position("both", e.server, e.cls)


def score_servers(readable):
    """readable: (Character, stats) pairs. Entries, averages and sample sizes."""
    entries, averages, samples = [], {}, {}
    for server in {c.server for c, _ in readable}:
        here = sorted(((c, s) for c, s in readable if c.server == server), key=lambda x: x[0].id)
        avg = {stat: average([s[stat] for _, s in here]) for stat in STATS}
        scored = [Entry(c.id, c.server, c.name, c.cls, c.level, c.power, power_score(s, avg))
                  for c, s in here]
        rate(scored)
        entries += scored
        averages[server] = [avg[stat] for stat in STATS]
        samples[server] = len(scored)
    return entries, averages, samples


def run(characters, previous=None, scored_at=None, failed_servers=()):
    """One run over all characters; previous: the Board before. None when there is no data.

    failed_servers: those whose data cannot be read; `failed` does not hold their characters.
    """
    with_payload = [c for c in characters
                    if c.payload is not None and c.server not in failed_servers]
    if not with_payload and not failed_servers:
        return None
    before = {e.id: e for e in previous.entries} if previous else {}
    readable, failed, kept = [], [], []
    for c in with_payload:
        payload = parse(c.payload)
        if payload == {} or is_profile(payload):
            continue
        stat = fault(payload)
        if stat is None:
            readable.append((c, {s: payload.get(s, Decimal(0)) for s in STATS}))
            continue
        failed.append((c.id, stat))
        if c.id in before:
            old = before[c.id]
            kept.append(Entry(c.id, c.server, c.name, c.cls, c.level, c.power, old.score, old.tier,
                              old.percentile, old.scored_at, True))
    entries, averages, samples = score_servers(readable)
    for e in entries:
        e.scored_at = scored_at
    entries += kept
    here = {e.id for e in entries}
    entries += [dataclasses.replace(e) for e in before.values()
                if e.server in failed_servers and e.id not in here]
    place(entries)
    return Board(entries, averages, samples, sorted(failed), len(readable))
