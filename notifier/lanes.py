"""A mail server as the dispatcher sees it: the transport to it, whether it is to be tried, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from notifier.breakers import RESTS, Breaker
from notifier.rates import NO_LIMITS, Limits, Pace
from notifier.replies import Answer, Fault, Outcome, Stage
from notifier.transports import Transport

ONE_MORE = 200  # messages that went through, and a server that found our connections too many is tried with one more


class Lane:
    """One way for messages to leave, with so many links; the time is an argument.

    `name` is what its settings are headed with; under it the ledger keeps what was `spent` of its limits.

    What it says against us while a recipient is named may be that recipient's server speaking, which it asked. So the
    domains that refuse us rest one by one, and the whole lane only where two in a row do.
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
        self._most_links = links  # as far as the server takes so many connections
        self._taken = 0  # messages, since it last took one connection more or less
        self._rests = rests
        self._domains: dict[str, Breaker] = {}  # that refuse us
        self._in_a_row: set[str] = set()  # of them, since a message went through
        self._out = 0

    @property
    def open_links(self) -> int:
        """How many of its links are to be used: fewer while the server says that we are too fast, or too many."""
        return min(self.pace.links(self.links), self._most_links)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What it says against us that did not pass by itself, and of whose mail."""
        whole = (self.breaker.trouble,) if self.breaker.is_serious else ()
        return whole + tuple(f"to {name}: {one.trouble}" for name, one in self._domains.items() if one.is_serious)

    def mended(self) -> None:
        """Ends all rests: a person says that something was done about it."""
        self.breaker.mended()
        self._domains.clear()
        self._in_a_row.clear()

    def opens_to(self, domain: str, now: datetime) -> datetime:
        """When mail to this domain may be tried, as far as the domain is concerned: now, or later."""
        refusing = self._domains.get(domain)
        return now if refusing is None else refusing.opens_at(now)

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

    def heard(self, outcome: Outcome, now: datetime, domain: str = "") -> timedelta | None:
        """Takes note of what became of a message to this domain; returns the rest that begins with it, if one does."""
        self._out -= 1
        if outcome.answer is Answer.UNTRIED:
            self.pace.give_back(1)
        elif outcome.answer is Answer.ACCEPTED:
            self.pace.succeeded(now)
            self._taken += 1
            if self._taken >= ONE_MORE:
                self._taken, self._most_links = 0, min(self._most_links + 1, self.links)
        elif outcome.fault is Fault.RATE:
            self.pace.complained(now)
        elif outcome.fault is Fault.CROWD and self.open_links > 1:
            self._taken, self._most_links = 0, self.open_links - 1
            return None  # the others go on
        if outcome.answer is Answer.ACCEPTED or outcome.fault is Fault.RECIPIENT:
            self._domains.pop(domain, None)
            self._in_a_row.clear()
        elif outcome.stage is Stage.RCPT and outcome.fault in (Fault.POLICY, Fault.SETTINGS):
            self._in_a_row.add(domain)
            if domain not in self._domains:
                self._domains[domain] = Breaker(self._rests, has_worked=self.breaker.has_worked)
            rest = self._domains[domain].heed(outcome, now)
            if len(self._in_a_row) == 1:
                return rest
        return self.breaker.heed(outcome, now)
