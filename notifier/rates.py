"""How many messages a mail server is given: its limits, what was spent of them, what it taught, how long a list takes.

A limit holds in every span of its length, wherever that begins: what was sent is counted in slots of a sixtieth of the
span, and a slot is forgotten only when the whole of it is out of reach. A server that says "too fast" is believed: the
rate is halved, and grows again by a tenth for every minute's worth that went through (AIMD, as Postfix does).
"""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
SPANS = {"per_second": SECOND, "per_minute": MINUTE, "per_hour": 60 * MINUTE, "per_day": DAY}
UNLIMITED = sys.maxsize
NO_TIME = timedelta()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLOTS = 60
_BURST = 6  # a minute's worth is not sent in one breath: servers count by shorter spans than they say
_STEPS = 10
_LEAST_PEAK = 30  # a minute; below it a complaint is no measure of what the server can take
_FAR_APART = 3  # a complaint after so many successes is an accident: who is too fast is told so again and again
_EPISODE = 10 * SECOND  # complaints this close together are about the same burst


@dataclass(frozen=True, slots=True)
class Limits:
    """How many messages may leave in each span of time; 0 for any number."""

    per_second: int = 0
    per_minute: int = 0
    per_hour: int = 0
    per_day: int = 0

    def __iter__(self) -> Iterator[tuple[str, timedelta, int]]:
        return ((name, span, getattr(self, name)) for name, span in SPANS.items() if getattr(self, name))

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def __str__(self) -> str:
        return ", ".join(f"{limit} {name.replace('_', ' ')}" for name, _, limit in self) or "no limit"


NO_LIMITS = Limits()


def duration(limits: Limits, count: int, spent: int = 0) -> timedelta:
    """How long it takes until the last of so many messages may leave, when `spent` more go before them."""
    waits = (((count + spent - 1) // limit) * span for _, span, limit in limits if count)
    return max(waits, default=NO_TIME)


def capacity(limits: Limits, time: timedelta) -> int:
    """How many messages may leave within this time; UNLIMITED where nothing stands against any number."""
    return min(((time // span + 1) * limit for _, span, limit in limits), default=UNLIMITED)


class Pace:
    """How fast one mail server may be sent to now; the time is an argument.

    `spent` is what `written` gave before a restart: the day's count goes on.
    """

    def __init__(self, limits: Limits, spent: str = "") -> None:
        self.limits = limits
        self._windows = {name: _Window(span, limit) for name, span, limit in limits}
        if "per_minute" in self._windows:
            self._windows["burst"] = _Window(MINUTE / _BURST, math.ceil(limits.per_minute / _BURST))
        self._minute = _Window(MINUTE, UNLIMITED)  # what went through, whatever the limits are
        self._second = _Window(SECOND, UNLIMITED)
        self._learnt = self._minute
        self._fastest = 0  # most that went through in a second
        self._peak = 0.0
        self._ceiling = math.inf
        self._grown = 0
        self._since_complaint = _FAR_APART
        self._lowered_at: datetime | None = None
        self._read(spent)

    @property
    def fraction(self) -> float:
        """The part of its usual speed that the server is trusted with: 1 unless it complained."""
        return 1.0 if math.isinf(self._ceiling) else self._ceiling / self._peak

    @property
    def is_bounded(self) -> bool:
        """Whether anything stands against any number of messages."""
        return bool(self._windows) or not math.isinf(self._ceiling)

    def links(self, usual: int) -> int:
        """How many of the usual connections are to be used."""
        return max(1, math.ceil(usual * self.fraction))

    def per_minute(self, now: datetime) -> int:
        """How many messages went through in the last minute."""
        return self._minute.count(now)

    def available(self, now: datetime) -> int:
        """How many messages may leave now; UNLIMITED where nothing stands against any number."""
        return min((window.left(now) for window in self._bounds()), default=UNLIMITED)

    def opens_at(self, now: datetime) -> datetime:
        """When the next message may leave: now, or later."""
        return max((window.opens_at(now) for window in self._bounds()), default=now)

    def take(self, now: datetime, count: int = 1) -> None:
        """Counts messages that are given to the server; what is refused was given as well."""
        for window in self._bounds():
            window.add(now, count)

    def give_back(self, count: int) -> None:
        """Counts messages off that were taken and then not given to the server."""
        for window in self._bounds():
            window.take_off(count)

    def succeeded(self, now: datetime, count: int = 1) -> None:
        """Counts messages that the server took, and lets the rate grow again by it."""
        self._minute.add(now, count)
        if self._second.add(now, count):
            self._fastest = max(self._fastest, self._second.count(now))
        self._since_complaint += count
        self._grown += count
        if self._grown >= self._ceiling:
            self._grown = 0
            self._ceiling += self._peak / _STEPS
            if self._ceiling >= self._peak:
                self._ceiling = math.inf
            self._follow()

    def complained(self, now: datetime) -> None:
        """Halves the rate, unless the complaint is an accident among many successes, or of the burst already heeded."""
        is_accident = self._since_complaint >= _FAR_APART
        self._since_complaint = 0
        is_heeded = self._lowered_at is not None and abs(now - self._lowered_at) < _EPISODE
        if is_accident or is_heeded:
            return
        if math.isinf(self._ceiling):
            usual = max(self.per_minute(now), 60 * self._fastest, _LEAST_PEAK)
            self._peak = self.limits.per_minute or usual
            self._ceiling = self._peak
        self._ceiling = max(1.0, self._ceiling / 2)
        self._grown = 0
        self._lowered_at = now
        self._follow()

    def written(self) -> str:
        """What was spent and learnt, for a ledger."""
        spent = {name: window.slots() for name, window in self._windows.items()}
        learnt = None if math.isinf(self._ceiling) else [self._ceiling, self._peak]
        return json.dumps({"spent": spent, "learnt": learnt}, separators=(",", ":"))

    def _read(self, text: str) -> None:
        known = json.loads(text) if text else {}
        for name, slots in known.get("spent", {}).items():
            if name in self._windows:
                self._windows[name].restore(slots)
        if known.get("learnt"):
            self._ceiling, self._peak = known["learnt"]
            self._follow()

    def _bounds(self) -> Iterator[_Window]:
        yield from self._windows.values()
        if not math.isinf(self._ceiling):
            yield self._learnt

    def _follow(self) -> None:
        """Holds to the ceiling, by the second where that is more than one."""
        span = SECOND if self._ceiling >= 60 else MINUTE
        limit = UNLIMITED if math.isinf(self._ceiling) else math.ceil(self._ceiling * (span / MINUTE))
        self._learnt = (self._second if span is SECOND else self._minute).copy(limit)


class _Window:
    """The messages of the last `span`, in slots of its sixtieth: number of the slot since 1970, and count."""

    def __init__(self, span: timedelta, limit: int) -> None:
        self.limit = limit
        self._span = span
        self._width = -(-span // _SLOTS)  # rounded up, so that sixty slots are never less than the span
        self._slots: deque[list[int]] = deque()
        self._sum = 0
        self._slot_ends = _EPOCH

    def copy(self, limit: int) -> _Window:
        """The same past under another limit."""
        made = _Window(self._span, limit)
        made.restore(self.slots())
        return made

    def count(self, now: datetime) -> int:
        newest = self._number(now)
        if self._slots and self._slots[-1][0] > newest:
            self._date_back(newest)
        oldest = newest - _SLOTS
        while self._slots and self._slots[0][0] < oldest:
            self._sum -= self._slots.popleft()[1]
        return self._sum

    def left(self, now: datetime) -> int:
        return max(0, self.limit - self.count(now))

    def opens_at(self, now: datetime) -> datetime:
        over = self.count(now) - self.limit
        if over < 0:
            return now
        for number, count in self._slots:
            over -= count
            if over < 0:
                return self._leaves_at(number)
        return now + self._span  # the limit is none at all

    def add(self, now: datetime, count: int) -> bool:
        """Whether a new slot begins with it."""
        is_new = not self._slots or now >= self._slot_ends  # in the last one also where the clock went back
        if is_new:
            self.count(now)
            number = self._number(now)
            self._slots.append([number, 0])
            self._slot_ends = _EPOCH + (number + 1) * self._width
        self._slots[-1][1] += count
        self._sum += count
        return is_new

    def _date_back(self, newest: int) -> None:
        """Counts as sent just now what a clock sent that was ahead: else it would count until that time comes."""
        ahead = 0
        while self._slots and self._slots[-1][0] >= newest:
            ahead += self._slots.pop()[1]
        self._slots.append([newest, ahead])
        self._slot_ends = _EPOCH + (newest + 1) * self._width

    def take_off(self, count: int) -> None:
        while count and self._slots:
            part = min(count, self._slots[-1][1])
            self._slots[-1][1] -= part
            self._sum -= part
            count -= part
            if not self._slots[-1][1]:
                self._slots.pop()

    def slots(self) -> list[list[int]]:
        return [list(slot) for slot in self._slots]

    def restore(self, slots: list[list[int]]) -> None:
        self._slots = deque(list(slot) for slot in slots)
        self._sum = sum(count for _, count in slots)
        if slots:
            self._slot_ends = _EPOCH + (slots[-1][0] + 1) * self._width

    def _number(self, now: datetime) -> int:
        return (now - _EPOCH) // self._width

    def _leaves_at(self, number: int) -> datetime:
        return _EPOCH + (number + _SLOTS + 1) * self._width
