"""Figures and the rows of the table that they stand in."""
import statistics
from dataclasses import dataclass, field
from typing import Optional


@dataclass
class Figure:
    """Measured values of one thing; shown as the median with the range."""
    values: list
    unit: str

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self):
        unit, factor = ("ms", 1000) if self.unit == "s" and self.median < 1 else (self.unit, 1)
        median, low, high = (short(value * factor) for value in
                             (self.median, min(self.values), max(self.values)))
        if len(self.values) == 1:
            return f"{median} {unit}"
        return f"{median} {unit} ({low}-{high})"

    def as_json(self):
        return {"median": self.median, "min": min(self.values), "max": max(self.values),
                "unit": self.unit, "values": self.values}


@dataclass
class Goal:
    """What a ratio (or, without a peer or with of_ours, our own figure) has to be."""
    at_most: Optional[float] = None
    at_least: Optional[float] = None
    text: str = ""
    of_ours: bool = False

    def met(self, value):
        if self.at_most is not None:
            return value <= self.at_most
        return value >= self.at_least


@dataclass
class Row:
    """A line of the table. ratio is ours / peer; of_pairs: median over pairs of runs."""
    part: str
    what: str
    ours: Figure
    peer: str = ""
    theirs: Optional[Figure] = None
    goal: Optional[Goal] = None
    note: str = ""
    of_pairs: bool = False
    extra: dict = field(default_factory=dict)

    @property
    def ratio(self):
        if self.theirs is None:
            return None
        if self.of_pairs:
            return statistics.median(a / b for a, b in zip(self.ours.values, self.theirs.values))
        return self.ours.median / self.theirs.median

    @property
    def reached(self):
        """True or False, None without a goal."""
        if self.goal is None:
            return None
        own = self.goal.of_ours or self.ratio is None
        return self.goal.met(self.ours.median if own else self.ratio)

    def cells(self):
        reached = {None: "", True: "yes", False: "NO"}[self.reached]
        return [self.what, self.ours.text(),
                f"{self.peer}: {self.theirs.text()}" if self.theirs else self.peer,
                ratio_text(self.ratio), self.goal.text if self.goal else "", reached]

    def as_json(self):
        return {"part": self.part, "what": self.what, "ours": self.ours.as_json(),
                "peer": self.peer, "theirs": self.theirs and self.theirs.as_json(),
                "ratio": self.ratio, "goal": self.goal and self.goal.text,
                "reached": self.reached, "note": self.note, **self.extra}


def short(value):
    """Three significant digits, thousands with commas."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio_text(ratio):
    """1/12.3 below a half, 0.87 or 3.2 above."""
    if ratio is None:
        return ""
    if 0 < ratio < 0.5:
        return f"1/{short(1 / ratio)}"
    return f"{ratio:.2f}"
