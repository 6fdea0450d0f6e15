"""One link's messages in flight: what it may take next, and what it tells of.

In flight is what the ledger says may have left. Few are at once, since after a crash nobody knows of any of them; and
so many that no link waits for the ledger.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from notifier.asides import Aside
from notifier.lanes import Lane
from notifier.messages import Message
from notifier.replies import Answer, Outcome
from notifier.stores import Claim
from notifier.transports import Envelope

# How many messages of one sender may be in flight: one whose body is on the wire, one behind it, and one to come; more
# where they leave so fast that the ledger would be written all the time.
FEWEST, MOST = 3, 32
AHEAD = 0.02  # seconds: what leaves within them may be in flight at once, and waits no longer to be recorded
AT_ONCE = 4  # mails that are composed one after the other, which takes less than while the next link waits


class Owner(Protocol):
    """Who fills outboxes, and hears what became of their messages."""

    def may_hand_out(self, lane: Lane) -> bool:
        """Whether this lane may be given now what is in flight to it in the ledger."""
        ...

    def has_more(self, lane: Lane) -> bool:
        """Whether waiting may bring a message to this lane."""
        ...

    def may_leave(self, claim: Claim) -> bool:
        """Whether nothing stands against this message since it was composed."""
        ...

    def compose(self, claim: Claim) -> Message | None:
        """The claim's message; None where it cannot be made now, which is noted."""
        ...

    def withhold(self, claim: Claim) -> None:
        """Gives back a claim that has to wait a little."""
        ...

    def next_aside(self, lane: Lane) -> tuple[Aside, Message] | None:
        """A message that the ledger does not owe, and as this lane is to have it."""
        ...

    def gave(self, lane: Lane) -> None:
        """Takes note of a message that a lane was given."""
        ...

    def ask(self) -> None:
        """Has the outboxes filled and what is known recorded."""
        ...

    def heard(self, lane: Lane, claim: Claim, outcome: Outcome) -> None:
        """Takes note of what became of a message."""
        ...

    def heard_aside(self, lane: Lane, aside: Aside, outcome: Outcome) -> None:
        """Takes note of what became of a message that the ledger does not owe."""
        ...


class LinkOutbox:
    """One link's messages: those in flight in the ledger and not yet on the wire, and those that are on it.

    `stock` has the former; without a message where it is yet to be composed. They are composed a few at a time when
    their turn comes: all in one go would leave the links idle meanwhile.
    """

    def __init__(self, owner: Owner, lane: Lane, number: int) -> None:
        self.lane = lane
        self.number = number
        self.wake = asyncio.Event()
        self.is_filled = asyncio.Event()
        self.stock: deque[tuple[Claim, Message | None]] = deque()
        self._owner = owner
        self._out: dict[int, tuple[Claim | Aside, Envelope]] = {}  # by identity: two messages may be equal
        self._window = FEWEST
        self._told = 0
        self._filled_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether its lane uses so many links now."""
        return self.number < self.lane.open_links

    async def next(self) -> Envelope | None:
        """The next message, waited for; None when there is nothing to carry now."""
        while (message := self.ready()) is None and self.is_open:
            self.is_filled.clear()
            self._owner.ask()
            await self.is_filled.wait()
            if not self.stock and not self._owner.has_more(self.lane):
                return self.ready()
        return message

    def ready(self) -> Envelope | None:
        """The next message if it may leave this instant."""
        if not self.is_open:
            return None
        if (aside := self._owner.next_aside(self.lane)) is not None:
            return self._hand_out(*aside)
        while self.stock and self._owner.may_hand_out(self.lane):
            claim, message = self.stock[0]
            if message is None:
                self._compose_some()
                continue
            self.stock.popleft()
            if self._owner.may_leave(claim):
                return self._hand_out(claim, message)
            self._owner.withhold(claim)
        return None

    def _compose_some(self) -> None:
        some = [self.stock.popleft()[0] for _ in range(min(AT_ONCE, len(self.stock)))]
        composed = [(claim, message) for claim in some if (message := self._owner.compose(claim)) is not None]
        self.stock.extendleft(reversed(composed))

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        """What became of a message that was handed out."""
        owed, _ = self._out.pop(id(envelope))
        self._told += 1
        if isinstance(owed, Claim):
            self._owner.heard(self.lane, owed, outcome)
        else:
            self._owner.heard_aside(self.lane, owed, outcome)

    def wants(self, time: float) -> int:
        """How many more messages may be in flight, at this time of the loop's clock."""
        pace = self._told / max(time - self._filled_at, AHEAD / MOST)
        self._told, self._filled_at = 0, time
        self._window = min(FEWEST + int(pace * AHEAD), MOST)
        return max(self._window - len(self.stock) - len(self._out), 0)

    def give_up(self) -> None:
        """Tells of what the transport forgot, which is a bug: nobody knows whether it left."""
        for _, envelope in tuple(self._out.values()):
            self.tell(envelope, Outcome(Answer.AMBIGUOUS, None, "the transport failed"))

    def _hand_out(self, owed: Claim | Aside, message: Envelope) -> Envelope:
        self._out[id(message)] = owed, message
        self._owner.gave(self.lane)
        if len(self.stock) < self._window // 2:
            self._owner.ask()
        return message
