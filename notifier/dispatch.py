"""Claims what the ledger owes, composes it, has it carried, keeps what became of it; rests while the relay is at fault.

The senders never wait for the ledger between a message and the next. A clerk writes it for all of them: what became of
the last messages and what may leave next are one transaction, and what comes up while it runs is in the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from notifier.errors import NotifierError
from notifier.messages import Message
from notifier.replies import Answer, Outcome
from notifier.stores import Claim, DeliveryState, Result, Store
from notifier.transports import Envelope, Transport

log = logging.getLogger(__name__)

BATCH = 128  # what is claimed at once; a crash returns it, so it costs nothing but a smaller write per mail
# How many messages of one sender may be in flight in the ledger, and are uncertain after a crash: one whose body is on
# the wire, one behind it, and one to come; more where they leave so fast that the ledger would be written all the time.
FEWEST, MOST = 3, 8
AHEAD = 0.005  # seconds: what leaves within them may be in flight at once, and waits no longer to be recorded
SIGNING = 2  # threads
RETRY_AFTER = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 30, 60))
JITTER = 0.2
AMBIGUOUS_AFTER = timedelta(minutes=10)  # by then a server that took the mail has most likely said so elsewhere
RELAY_PAUSES = tuple(timedelta(seconds=s) for s in (15, 30, 60, 120, 300, 900))
WITHHELD = timedelta(seconds=20)
GRACE = timedelta(seconds=30)


Sign = Callable[[bytes], bytes]  # a message complete but for its signatures → the same with them in front


class Compose(Protocol):
    """What makes a claim's message now; None where it must wait, because a change of its session is told first."""

    def __call__(self, claim: Claim) -> Message | None: ...


class Dispatcher:
    """A few senders over one ledger and one transport.

    `hold` is the reason why nothing may be sent now, "" for none; `paused` names sessions whose change is told first;
    `trouble` is what the mail server last said against us, "" once a message went through.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        compose: Compose,
        now: Callable[[], datetime],
        senders: int,
        sign: Sign | None = None,
    ) -> None:
        self.hold = ""
        self.paused: frozenset[str] = frozenset()
        self.trouble = ""
        self._store = store
        self._transport = transport
        self._compose = compose
        self._now = now
        self._sign = sign
        self._signing = ThreadPoolExecutor(SIGNING, "sign")  # has no thread before its first work
        self._outboxes = [_Outbox(self) for _ in range(senders)]
        self._senders: list[asyncio.Task[None]] = []
        self._clerk: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._is_asked_soon = False
        self._claims: deque[Claim] = deque()  # this process's own, and nothing done for them yet
        self._asides: deque[Message] = deque()
        self._unrecorded: list[Result] = []
        self._is_dry = False  # the ledger owed nothing more when it was last asked
        self._is_stuck = False  # the ledger could not be written
        self._is_stopping = self._is_closed = False
        self._rest_until: datetime | None = None
        self._setbacks = 0

    def start(self) -> None:
        """Begins to send."""
        self._clerk = asyncio.create_task(self._keep_ledger(), name="clerk")
        self._senders = [asyncio.create_task(self._send_from(outbox), name="sender") for outbox in self._outboxes]

    def wake(self) -> None:
        """Tells the senders to look at the ledger."""
        self._is_dry = self._is_stuck = False
        for outbox in self._outboxes:
            outbox.wake.set()

    def send_aside(self, message: Message) -> None:
        """Sends a message that the ledger does not owe, such as one to the organisers; its outcome is only logged."""
        self._asides.append(message if self._sign is None else replace(message, body=self._sign(message.body)))
        for outbox in self._outboxes:
            outbox.wake.set()

    async def stop(self) -> None:
        """Lets the messages on the wire end, for at most GRACE, and gives back what was only claimed."""
        self._is_stopping = True
        self.wake()
        _, unfinished = (
            await asyncio.wait(self._senders, timeout=GRACE.total_seconds()) if self._senders else (set(), set())
        )
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self._transport.close()
        self._is_closed = True
        self._asked.set()
        if self._clerk is not None:
            await self._clerk
        await self._write_ledger()
        self._signing.shutdown(wait=False)

    async def _send_from(self, outbox: _Outbox) -> None:
        while not self._is_stopping:
            await outbox.wake.wait()
            outbox.wake.clear()
            try:
                await self._transport.carry(outbox)
            except Exception:
                log.exception("sending stopped until the next tick")
                outbox.give_up()

    # --- what an outbox needs ---

    @property
    def may_send(self) -> bool:
        """Whether a message that the ledger owes may leave now."""
        rests = self._rest_until is not None and self._now() < self._rest_until
        return not (self._is_stopping or self.hold or rests)

    @property
    def has_more(self) -> bool:
        """Whether waiting for the clerk may bring a message."""
        return self.may_send and not self._is_stuck and not (self._is_dry and not self._claims)

    def next_aside(self) -> Message | None:
        """A message that the ledger does not owe."""
        return self._asides.popleft() if self._asides else None

    def ask(self) -> None:
        """Has the clerk fill the outboxes and record what is known."""
        self._asked.set()

    def ask_soon(self) -> None:
        """The same, when a few messages have come together."""
        if not self._is_asked_soon:
            self._is_asked_soon = True
            asyncio.get_running_loop().call_later(AHEAD, self._asked.set)

    def heard(self, claim: Claim, outcome: Outcome) -> None:
        """Takes note of what became of a message."""
        self._heed(outcome)
        self._note(self._result(claim, outcome))

    def withhold(self, claim: Claim) -> None:
        """Gives back a claim whose session is changing."""
        later = self._now() + WITHHELD
        self._note(Result(claim, _unsent_state(claim), later, reply="withheld: the session changes", counts=False))

    # --- the clerk ---

    async def _keep_ledger(self) -> None:
        while not self._is_closed:
            await self._asked.wait()
            self._asked.clear()
            self._is_asked_soon = False
            try:
                await self._write_ledger()
            except Exception:
                # The ledger may be full or locked; what is owed stays owed, and the next tick tries again.
                log.exception("sending stopped until the next tick")
                self._is_stuck = True
            for outbox in self._outboxes:
                outbox.is_filled.set()

    async def _write_ledger(self) -> None:
        """Records what is known and lets the outboxes have what they want, in one transaction."""
        if not self.may_send:
            self._recall()
        time = asyncio.get_running_loop().time()
        wants = [outbox.wants(time) for outbox in self._outboxes]
        if self.may_send and not self._is_dry and sum(wants) > len(self._claims):
            claims = await self._store.claim(BATCH, self._now(), self.paused)
            self._is_dry = len(claims) < BATCH
            self._claims.extend(claims)
        # In turns, so that a short list occupies every link.
        places = [
            o for turn in range(max(wants)) for o, wanted in zip(self._outboxes, wants, strict=True) if turn < wanted
        ]
        drafts = [(outbox, claim, message) for outbox, (claim, message) in zip(places, self._drafts(), strict=False)]
        results, self._unrecorded = self._unrecorded, []
        if not results and not drafts:
            return
        try:
            drafts = await self._signed(drafts)
            stands = await self._store.intend([claim for _, claim, _ in drafts], self._now(), results)
        except BaseException:
            self._unrecorded = results + self._unrecorded
            self._claims.extendleft(claim for _, claim, _ in reversed(drafts))
            raise
        for (outbox, claim, message), does_stand in zip(drafts, stands, strict=True):
            if does_stand:
                outbox.stock.append((claim, message))
                outbox.wake.set()  # its sender may have found nothing a moment ago
            else:
                reply = "it was withdrawn in the last moment"
                self._note(Result(claim, DeliveryState.CANCELLED, reply=reply, counts=False))

    async def _signed(self, drafts: list[tuple[_Outbox, Claim, Message]]) -> list[tuple[_Outbox, Claim, Message]]:
        """The drafts ready for the wire; an RSA key takes a quarter of a millisecond for each, so in other threads."""
        if (sign := self._sign) is None:
            return drafts
        loop = asyncio.get_running_loop()
        bodies = await asyncio.gather(*(loop.run_in_executor(self._signing, sign, m.body) for _, _, m in drafts))
        return [(o, claim, replace(m, body=body)) for (o, claim, m), body in zip(drafts, bodies, strict=True)]

    def _drafts(self) -> Iterator[tuple[Claim, Message]]:
        while self._claims and self.may_send:
            claim = self._claims.popleft()
            try:
                message = self._compose(claim)
            except Exception as error:
                if not isinstance(error, NotifierError):
                    log.exception("composing failed notice=%s sub=%d", _name(claim), claim.subscriber.id)
                self._note(Result(claim, DeliveryState.FAILED, reply=f"it could not be composed: {error}"))
                continue
            if message is None:
                self.withhold(claim)
            else:
                yield claim, message

    def _recall(self) -> None:
        """Gives back to the ledger what no link has."""
        claims = [*self._claims, *(claim for outbox in self._outboxes for claim, _ in outbox.stock)]
        self._claims.clear()
        for outbox in self._outboxes:
            outbox.stock.clear()
        self._unrecorded += [Result(claim, _unsent_state(claim), counts=False) for claim in claims]
        self._is_dry = self._is_dry and not claims

    def _note(self, result: Result) -> None:
        level = logging.DEBUG if result.state is DeliveryState.SENT else logging.INFO
        if log.isEnabledFor(level):
            # A ledger may name people; a log must not.
            said = re.sub(r"[^\s<>]+@[^\s<>]+", "[address]", result.reply)
            facts = (result.state, _name(result.claim), result.claim.subscriber.id, result.code or "-", said)
            log.log(level, "%s notice=%s sub=%d code=%s said=%r", *facts)
        self._unrecorded.append(result)
        self.ask_soon()

    def _heed(self, outcome: Outcome) -> None:
        """Rests ever longer while the mail server, not a recipient, is the trouble; one success ends it."""
        if outcome.answer is Answer.RELAY or outcome.pause is not None:
            pause = max(outcome.pause or timedelta(), RELAY_PAUSES[min(self._setbacks, len(RELAY_PAUSES) - 1)])
            self._setbacks += 1
            self._rest_until = self._now() + pause
            self.trouble = outcome.reply
            log.error("the mail server is at fault: %s; trying again in %d s", outcome.reply, pause.total_seconds())
            asyncio.get_running_loop().call_later(pause.total_seconds() + 0.1, self.wake)
        elif outcome.answer is Answer.ACCEPTED:
            self._setbacks, self._rest_until, self.trouble = 0, None, ""

    def _result(self, claim: Claim, outcome: Outcome) -> Result:
        if outcome.answer in (Answer.RELAY, Answer.UNTRIED):
            return Result(claim, _unsent_state(claim), code=outcome.code, reply=outcome.reply, counts=False)
        state, wait = _STATES[outcome.answer], None
        if outcome.answer is Answer.DEFERRED:
            wait = max(_backoff(claim.attempts), outcome.pause or timedelta())
        if outcome.answer is Answer.AMBIGUOUS:
            wait = min(AMBIGUOUS_AFTER, (claim.notice.deadline - self._now()) / 2)
        not_before = self._now() + wait if wait is not None else None
        return Result(claim, state, not_before, outcome.code, outcome.reply, is_dead_address=outcome.is_dead_address)


_STATES = {
    Answer.ACCEPTED: DeliveryState.SENT,
    Answer.DEFERRED: DeliveryState.DEFERRED,
    Answer.REFUSED: DeliveryState.FAILED,
    Answer.AMBIGUOUS: DeliveryState.AMBIGUOUS,
}


class _Outbox:
    """One sender's messages: in flight in the ledger, composed, and not yet on the wire; and those that are on it."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.wake = asyncio.Event()
        self.is_filled = asyncio.Event()
        self.stock: deque[tuple[Claim, Message]] = deque()
        self._dispatcher = dispatcher
        self._out: dict[int, tuple[Claim | None, Envelope]] = {}  # by identity: two messages may be equal
        self._window = FEWEST
        self._told = 0
        self._filled_at = 0.0

    async def next(self) -> Envelope | None:
        while (message := self.ready()) is None:
            self.is_filled.clear()
            self._dispatcher.ask()
            await self.is_filled.wait()
            if not self.stock and not self._dispatcher.has_more:
                return self.ready()
        return message

    def ready(self) -> Envelope | None:
        if (aside := self._dispatcher.next_aside()) is not None:
            return self._hand_out(None, aside)
        while self.stock and self._dispatcher.may_send:
            claim, message = self.stock.popleft()
            if claim.notice.session_id not in self._dispatcher.paused:
                return self._hand_out(claim, message)
            self._dispatcher.withhold(claim)
        return None

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        claim, _ = self._out.pop(id(envelope))
        self._told += 1
        if claim is None:
            log.info("told the organisers: %s %s", outcome.answer, outcome.reply)
        else:
            self._dispatcher.heard(claim, outcome)

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

    def _hand_out(self, claim: Claim | None, message: Message) -> Envelope:
        self._out[id(message)] = claim, message
        if len(self.stock) < self._window // 2:
            self._dispatcher.ask()
        return message


def _unsent_state(claim: Claim) -> DeliveryState:
    return DeliveryState.AMBIGUOUS if claim.is_resend else DeliveryState.QUEUED


def _backoff(attempts: int) -> timedelta:
    return RETRY_AFTER[min(attempts, len(RETRY_AFTER) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)


def _name(claim: Claim) -> str:
    return "/".join((claim.notice.session_id, claim.notice.rule, str(claim.notice.generation)))
