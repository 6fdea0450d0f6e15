"""Numbers over time → where the lines of a small chart run, to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 600, 120
_LEAST_SPAN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Chart:
    """A count that goes up and down in steps: its `path` in a box of WIDTH × HEIGHT, the time it begins, its bounds."""

    path: str
    begins: datetime
    first: int
    last: int
    most: int


def steps(counts: Sequence[tuple[datetime, int]], now: datetime) -> Chart | None:
    """The chart of a count from its first change until now; None where it never changed."""
    if not counts:
        return None
    begins, first = counts[0]
    span = max(now - begins, _LEAST_SPAN)
    most = max(count for _, count in counts)
    x = [round(WIDTH * min(1, max(timedelta(), at - begins) / span), 1) for at, _ in counts]
    y = [round(HEIGHT - HEIGHT * count / (most or 1), 1) for _, count in counts]
    path = f"M{x[0]:g} {y[0]:g}" + "".join(f"H{a:g}V{b:g}" for a, b in zip(x[1:], y[1:], strict=True)) + f"H{WIDTH}"
    return Chart(path, begins, first, counts[-1][1], most)


def share(part: timedelta, whole: timedelta) -> float:
    """The part in percent of the whole, with one decimal, at least a sliver that can be seen."""
    return max(0.5, round(100 * (part / whole), 1)) if whole else 0.5
