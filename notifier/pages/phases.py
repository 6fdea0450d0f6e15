"""A session + now → where it stands between being planned and being over, as far as its page tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from notifier.talks import Session

OPENS = timedelta(minutes=30)  # before the start, when people begin to come in
AFTERWARDS = timedelta(days=30)  # in which slides and replays are still to be looked for


class Phase(StrEnum):
    """What a session's page says first: planned, about to begin, on, just over, or long over."""

    AHEAD = "ahead"
    OPEN = "open"
    ON = "on"
    FRESH = "fresh"
    OVER = "over"

    @property
    def is_over(self) -> bool:
        """True from the end on."""
        return self in (Phase.FRESH, Phase.OVER)


def turns(session: Session) -> tuple[tuple[datetime, Phase], ...]:
    """The instants at which the session comes into its later phases, in order."""
    return (
        (session.start - OPENS, Phase.OPEN),
        (session.start, Phase.ON),
        (session.end, Phase.FRESH),
        (session.end + AFTERWARDS, Phase.OVER),
    )


def phase(session: Session, now: datetime) -> Phase:
    """The phase that the session is in."""
    return next((phase for at, phase in reversed(turns(session)) if at <= now), Phase.AHEAD)
