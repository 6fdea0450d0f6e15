"""A mail server as the dispatcher sees it: the transport to it, whether it is to be tried, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from notifier.breakers import RESTS, Breaker
from notifier.rates import NO_LIMITS, Limits, Pace
from notifier.replies import Answer, Fault, Outcome
from notifier.transports import Transport


class Lane:
    """One way for messages to leave, with so many links; the time is an argument.

    `name` is what its settings are headed with; under it the ledger keeps what was `spent` of its limits.
    """

    def __init__(
        self,
        transport: Transport,
        links: int,
        *,
        name: str = "smtp",
        limits: Limits = NO_LIMITS,
        rests: Sequence[timedelta] = RESTS,
        spent: str = "",
    ) -> None:
        self.name = name
        self.transport = transport
        self.links = links
        self.breaker = Breaker(rests)
        self.pace = Pace(limits, spent)
        self._out = 0

    @property
    def open_links(self) -> int:
        """How many of its links are to be used: fewer while the server says that we are too fast."""
        return self.pace.links(self.links)

    def room(self, now: datetime) -> int:
        """How many more messages may be given to it now."""
        if self.breaker.opens_at(now) > now:
            return 0
        room = self.pace.available(now)
        return min(room, max(0, 1 - self._out)) if self.breaker.is_half_open else room

    def opens_at(self, now: datetime) -> datetime:
        """When it may be given the next message: now, or later."""
        return max(self.breaker.opens_at(now), self.pace.opens_at(now))

    def gave(self, now: datetime) -> None:
        """Counts a message that was given to it."""
        self._out += 1
        self.pace.take(now)

    def heard(self, outcome: Outcome, now: datetime) -> timedelta | None:
        """Takes note of what became of a message; returns the rest that begins with it, if one does."""
        self._out -= 1
        if outcome.answer is Answer.UNTRIED:
            self.pace.give_back(1)
        elif outcome.answer is Answer.ACCEPTED:
            self.pace.succeeded(now)
        elif outcome.fault is Fault.RATE:
            self.pace.complained(now)
        return self.breaker.heed(outcome, now)
