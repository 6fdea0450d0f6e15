"""Sessions of one year → where each stands on a strip of that year, to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from notifier.talks import Session


@dataclass(frozen=True, slots=True)
class Mark:
    """One session on the strip: the day of the year, from 0, and what it is: past, next, planned or cancelled."""

    x: int
    kind: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A year of days: where its months begin, and its sessions."""

    year: int
    days: int
    months: tuple[tuple[int, date], ...]
    marks: tuple[Mark, ...]

    def count(self, kind: str) -> int:
        """How many sessions are of this kind."""
        return sum(mark.kind == kind for mark in self.marks)


def strip(year: int, sessions: Sequence[Session], coming: Session | None, now: datetime, zone: ZoneInfo) -> Strip:
    """The strip of the year with those of these sessions that begin in it, by the clocks of the zone."""
    first = date(year, 1, 1)
    begun = [(session, session.start.astimezone(zone).date()) for session in sessions]
    return Strip(
        year,
        (date(year + 1, 1, 1) - first).days,
        tuple(((month - first).days, month) for month in (date(year, number, 1) for number in range(1, 13))),
        tuple(Mark((day - first).days, _kind(one, coming, now)) for one, day in begun if day.year == year),
    )


def _kind(session: Session, coming: Session | None, now: datetime) -> str:
    if session.is_cancelled:
        return "cancelled"
    if session is coming:
        return "next"
    return "past" if session.end <= now else "planned"
