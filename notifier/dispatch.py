"""Claims what the ledger owes, composes it, sends it, records the outcome; rests while the mail server is at fault."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from notifier.errors import NotifierError
from notifier.messages import Message
from notifier.replies import Answer, Outcome
from notifier.stores import Claim, DeliveryState, Result, Store
from notifier.transports import Transport

log = logging.getLogger(__name__)

BATCH = 8  # what one sender claims at once; a crash returns them, so it costs nothing but a smaller write per mail
RETRY_AFTER = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 30, 60))
JITTER = 0.2
AMBIGUOUS_AFTER = timedelta(minutes=10)  # by then a server that took the mail has most likely said so elsewhere
RELAY_PAUSES = tuple(timedelta(seconds=s) for s in (15, 30, 60, 120, 300, 900))
WITHHELD = timedelta(seconds=20)
GRACE = timedelta(seconds=30)


class Compose(Protocol):
    """What makes a claim's message now; None where it must wait, because a change of its session is told first."""

    def __call__(self, claim: Claim) -> Message | None: ...


class Dispatcher:
    """A few senders over one ledger and one transport.

    `hold` is the reason why nothing may be sent now, "" for none; `paused` names sessions whose change is told first;
    `trouble` is what the mail server last said against us, "" once a message went through.
    """

    def __init__(
        self, store: Store, transport: Transport, compose: Compose, now: Callable[[], datetime], senders: int
    ) -> None:
        self.hold = ""
        self.paused: frozenset[str] = frozenset()
        self.trouble = ""
        self._store = store
        self._transport = transport
        self._compose = compose
        self._now = now
        self._wake = [asyncio.Event() for _ in range(senders)]
        self._tasks: list[asyncio.Task[None]] = []
        self._unrecorded: list[Result] = []
        self._asides: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._rest_until: datetime | None = None
        self._setbacks = 0

    def start(self) -> None:
        """Begins to send."""
        self._tasks = [asyncio.create_task(self._sender(event), name="sender") for event in self._wake]

    def wake(self) -> None:
        """Tells the senders to look at the ledger."""
        for event in self._wake:
            event.set()

    def send_aside(self, message: Message) -> None:
        """Sends a message that the ledger does not owe, such as one to the organisers; its outcome is only logged."""

        async def send() -> None:
            outcome = await self._transport.send(message, _always)
            log.info("told the organisers: %s %s", outcome.answer, outcome.reply)

        self._asides.add(task := asyncio.create_task(send()))
        task.add_done_callback(self._asides.discard)

    async def stop(self) -> None:
        """Lets the messages on the wire end, for at most GRACE, and gives back what was only claimed."""
        self._stopping = True
        self.wake()
        running = [*self._tasks, *self._asides]
        _, unfinished = await asyncio.wait(running, timeout=GRACE.total_seconds()) if running else (set(), set())
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self._transport.close()
        await self._flush()

    async def _sender(self, wake: asyncio.Event) -> None:
        while not self._stopping:
            await wake.wait()
            wake.clear()
            try:
                await self._drain()
            except Exception:
                # The ledger may be full or locked; what is owed stays owed, and the next tick tries again.
                log.exception("sending stopped until the next tick")

    async def _drain(self) -> None:
        await self._flush()
        while self._may_send():
            claims = await self._store.claim(BATCH, self._now(), self.paused)
            if not claims:
                return
            await self._deliver_all(claims)

    def _may_send(self) -> bool:
        rests = self._rest_until is not None and self._now() < self._rest_until
        return not (self._stopping or self.hold or rests)

    async def _deliver_all(self, claims: list[Claim]) -> None:
        """Makes every delivery; what is not reached goes back to the ledger, whatever happens."""
        waiting = claims[::-1]
        try:
            while waiting and self._may_send():
                await self._deliver(waiting.pop())
        finally:
            self._unrecorded += [Result(claim, _unsent_state(claim), counts=False) for claim in waiting]
            await self._flush()

    async def _deliver(self, claim: Claim) -> None:
        self._tell(result := await self._attempt(claim))
        self._unrecorded.append(result)
        await self._flush()

    async def _attempt(self, claim: Claim) -> Result:
        try:
            message = self._compose(claim)
        except Exception as error:
            if not isinstance(error, NotifierError):
                log.exception("composing failed notice=%s sub=%d", _name(claim), claim.subscriber.id)
            return Result(claim, DeliveryState.FAILED, reply=f"it could not be composed: {error}")
        if message is None:
            later = self._now() + WITHHELD
            return Result(claim, _unsent_state(claim), later, reply="withheld: the session changes", counts=False)
        return await self._send(claim, message)

    async def _send(self, claim: Claim, message: Message) -> Result:
        is_intended = False

        async def intend() -> bool:
            nonlocal is_intended
            is_intended = await self._store.intend(claim, self._now())
            return is_intended

        try:
            outcome = await self._transport.send(message, intend)
        except Exception as error:
            # The ledger refused the intent (a full disk), or it is a bug: then nobody knows what left.
            log.exception("sending failed notice=%s sub=%d", _name(claim), claim.subscriber.id)
            state = DeliveryState.AMBIGUOUS if is_intended else _unsent_state(claim)
            return Result(claim, state, self._now() + WITHHELD, reply=str(error), counts=is_intended)
        self._heed(outcome)
        return self._result(claim, outcome)

    async def _flush(self) -> None:
        """Records every outcome that is known; should the ledger fail, the next flush tells it again."""
        if not self._unrecorded:
            return
        results, self._unrecorded = self._unrecorded, []
        try:
            await self._store.record(results, self._now())
        except BaseException:
            self._unrecorded = results + self._unrecorded
            raise

    def _tell(self, result: Result) -> None:
        said = f" said={result.reply!r}" if result.reply else ""
        log.info("%s notice=%s sub=%d%s", result.state, _name(result.claim), result.claim.subscriber.id, said)

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
        if outcome.answer is Answer.RELAY:
            return Result(claim, _unsent_state(claim), code=outcome.code, reply=outcome.reply, counts=False)
        state, wait = _STATES[outcome.answer], None
        if outcome.answer is Answer.FENCED:
            return Result(claim, state, reply="it was withdrawn in the last moment", counts=False)
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
    Answer.FENCED: DeliveryState.CANCELLED,
}


async def _always() -> bool:
    return True


def _unsent_state(claim: Claim) -> DeliveryState:
    return DeliveryState.AMBIGUOUS if claim.is_resend else DeliveryState.QUEUED


def _backoff(attempts: int) -> timedelta:
    return RETRY_AFTER[min(attempts, len(RETRY_AFTER) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)


def _name(claim: Claim) -> str:
    return "/".join((claim.notice.session_id, claim.notice.rule, str(claim.notice.generation)))
