"""Whether a mail server, or the mail about a session, is to be tried now.

A mail server rests ever longer while it, and not a recipient, is at fault.

One setback after a success is an accident: a link that was cut, a greeting of 421. The next one in a row opens the
breaker for real; when its rest is over one message is tried (half-open), and the first success closes it. Settings that
were refused twice and never worked wait for a person. The mail about a session rests while its content is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from datetime import datetime, timedelta

from notifier.replies import Answer, Fault, Outcome

RESTS = tuple(timedelta(seconds=s) for s in (1, 15, 30, 60, 120, 300, 900))
UNTIL_RELOAD = timedelta(hours=1)  # at the longest: what a provider mended by itself at night must not lose a reminder
_AHEAD = timedelta(minutes=5)  # a rest that begins later than so long from now was begun by a clock that was wrong
_OF_RATE = (Fault.RATE, Fault.CROWD)
_OF_US = (*_OF_RATE, Fault.SETTINGS)
REFUSALS = 3  # of a notice's content in a row: then everyone's copy will meet the same
CONTENT_REST = timedelta(minutes=30)
_SOFT = 3  # so many in a row of what may be a recipient's or a single link's fault are the server's


class Breaker:
    """One mail server's breaker; the time is an argument.

    `trouble` is what the server last said against us, "" once a message went through; `is_serious` tells that it did
    not pass by itself, so that a person should know, and `is_stopped` that a person has to mend something first.
    `has_worked` where a message once went through.
    """

    def __init__(self, rests: Sequence[timedelta] = RESTS, *, has_worked: bool = False) -> None:
        self.trouble = ""
        self.is_stopped = False
        self._rests = rests
        self._setbacks = 0
        self._soft = 0
        self.has_worked = has_worked
        self._was_rate = False  # what the last setback spoke of
        self._rest = timedelta()
        self._rest_until: datetime | None = None

    @property
    def is_serious(self) -> bool:
        """Two setbacks in a row, or settings that the server refuses."""
        return self._setbacks > 1 or self.is_stopped

    @property
    def is_half_open(self) -> bool:
        """True from a setback to the next success: one message at a time is enough to learn how it stands."""
        return self._setbacks > 0

    def opens_at(self, now: datetime) -> datetime:
        """When the server may be tried next: now, or later."""
        return now if self._rest_until is None or not self._is_resting(now) else self._rest_until

    def heed(self, outcome: Outcome, now: datetime) -> timedelta | None:
        """Takes note of an outcome; returns the rest that begins with it, if one does."""
        if outcome.answer is Answer.ACCEPTED or outcome.fault is Fault.RECIPIENT:
            # A server that knows one mailbox from another is well.
            self._setbacks, self._soft, self._rest_until, self.trouble, self.is_stopped = 0, 0, None, "", False
            self.has_worked = True
            return None
        if not self._is_setback(outcome):
            return None
        if self._is_resting(now):
            return None  # what was on its way when the rest began
        self._soft = 0
        self.trouble = outcome.reply
        # Settings with which mail went through are most likely right still; then it is the server that will come round.
        self.is_stopped = outcome.fault is Fault.SETTINGS and self._setbacks > 0 and not self.has_worked
        rest = self._rests[min(self._setbacks, len(self._rests) - 1)]
        if self.is_stopped:
            rest = max(rest, UNTIL_RELOAD)
        elif self._setbacks and self._was_rate and outcome.fault in _OF_RATE and outcome.pause is not None:
            rest = max(rest, outcome.pause)
        self._setbacks += 1
        self._was_rate = outcome.fault in _OF_RATE
        self._rest, self._rest_until = rest, now + rest
        return rest

    def mended(self) -> None:
        """Ends the rest: a person says that something was done about it."""
        self._rest_until = None
        self.is_stopped = False

    def _is_resting(self, now: datetime) -> bool:
        """Whether the rest goes on; one that a clock began which was ahead then is over."""
        return self._rest_until is not None and self._rest_until - self._rest - _AHEAD <= now < self._rest_until

    def _is_setback(self, outcome: Outcome) -> bool:
        if outcome.answer is Answer.RELAY or outcome.fault in _OF_US or outcome.code == 421:
            return True
        if outcome.fault not in (Fault.LINK, Fault.POLICY):
            return False
        self._soft += 1
        return self._soft >= _SOFT


class ContentBreaker:
    """Stops a notice that is refused again and again for what it says, before it is refused to everyone."""

    def __init__(self) -> None:
        self._refusals: Counter[int] = Counter()  # by notice, since one of it was taken
        self._resting: dict[str, datetime] = {}  # sessions, until when

    @property
    def sessions(self) -> Set[str]:
        """The sessions whose mail is not to be tried."""
        return self._resting.keys()

    def heed(self, outcome: Outcome, notice_id: int, session_id: str, now: datetime) -> bool:
        """Takes note of what became of a message of this notice; tells whether its session's rest begins with it."""
        if outcome.answer is Answer.ACCEPTED:
            self._refusals.pop(notice_id, None)
        elif outcome.fault is Fault.CONTENT:
            self._refusals[notice_id] += 1
            if self._refusals[notice_id] >= REFUSALS and session_id not in self._resting:
                self._resting[session_id] = now + CONTENT_REST
                return True
        return False

    def forgive(self, now: datetime) -> None:
        """Ends the rests that are over."""
        for session_id in [session_id for session_id, until in self._resting.items() if until <= now]:
            del self._resting[session_id]
            self._refusals.clear()

    def mended(self) -> None:
        """Ends all rests: a person says that something was done about it."""
        self._resting.clear()
        self._refusals.clear()
