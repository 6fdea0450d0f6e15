"""Claims what the ledger owes, composes it, has it carried, keeps what became of it; rests while the relay is at fault.

The senders never wait for the ledger between a message and the next. A clerk writes it for all of them: what became of
the last messages and what may leave next are one transaction, and what comes up while it runs is in the next one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from notifier.asides import Aside, Asides
from notifier.breakers import ContentBreaker
from notifier.errors import NotifierError
from notifier.lanes import Lane
from notifier.messages import Message
from notifier.outboxes import AHEAD, LinkOutbox
from notifier.replies import Answer, Outcome
from notifier.stores import Claim, DeliveryState, Result, Store

log = logging.getLogger(__name__)

BATCH = 128  # what is claimed at once; a crash returns it, so it costs nothing but a smaller write per mail
SIGNING = 2  # threads
JITTER = 0.2
WITHHELD = timedelta(seconds=20)
RESTING = timedelta(minutes=1)  # after which is looked again whether a domain that refused us is to be tried
MOMENT = timedelta(seconds=1)
GRACE = timedelta(seconds=30)


Sign = Callable[[bytes], bytes]  # a message complete but for its signatures → the same with them in front


class Compose(Protocol):
    """What makes a claim's message now; None where it must wait, because a change of its session is told first."""

    def __call__(self, claim: Claim) -> Message | None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """When what was put off is tried again, and when what may have arrived is sent once more."""

    retry: Sequence[timedelta] = tuple(timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 30, 60))
    # By then a server that took the mail has most likely said so elsewhere.
    resend_after: timedelta = timedelta(minutes=10)

    def after(self, attempts: int) -> timedelta:
        """How long to wait when so many attempts came before this one."""
        return self.retry[min(attempts, len(self.retry) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)


PATIENCE = Patience()


class Dispatcher:
    """A few senders for each mail server, over one ledger.

    The first of the `lanes` has all the mail while it is well; the others help out while it is at fault. `hold` is the
    reason why nothing may be sent now, "" for none; `paused` names sessions whose change is told first; `signs` has
    what signs a lane's mail, by the ledger's name for it; `alarm` is told what a person should know: a subject, and
    what was said.
    """

    def __init__(
        self,
        store: Store,
        lanes: Sequence[Lane],
        compose: Compose,
        now: Callable[[], datetime],
        *,
        signs: Mapping[str, Sign] = MappingProxyType({}),
        patience: Patience = PATIENCE,
        alarm: Callable[[str, str], None] = lambda subject, words: None,
    ) -> None:
        self.hold = ""
        self.paused: frozenset[str] = frozenset()
        self._store = store
        self._lanes = tuple(lanes)
        self._compose = compose
        self._now = now
        self._patience = patience
        self._alarm = alarm
        self._signs = signs
        self._signing = ThreadPoolExecutor(SIGNING, "sign")  # has no thread before its first work
        self._outboxes = [LinkOutbox(self, lane, number) for lane in self._lanes for number in range(lane.links)]
        self._senders: list[asyncio.Task[None]] = []
        self._clerk: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._is_asked_soon = False
        self._claims: deque[Claim] = deque()  # this process's own, and nothing done for them yet
        self._asides = Asides()
        self._aside_taken: dict[str, Callable[[], None]] = {}  # by Message-ID, which is the same on every lane
        self._unrecorded: list[Result] = []
        self._is_dry = False  # the ledger owed nothing more when it was last asked
        self._is_stuck = False  # the ledger could not be written
        self._is_stopping = self._is_closed = False
        self._contents = ContentBreaker()
        self._alarm_clock: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str:
        """What mail servers said against us or our mail, and again when tried anew; "" once a message went through."""
        words = [word for lane in self._lanes for word in lane.troubles]
        words += [
            f"the mail of {session_id} is refused for its content" for session_id in sorted(self._contents.sessions)
        ]
        return "; ".join(words)

    def per_minute(self) -> int:
        """How many messages went through in the last minute."""
        now = self._now()
        return sum(lane.pace.per_minute(now) for lane in self._lanes)

    def mended(self) -> None:
        """Tries every mail server and every mail anew: a person says that something was done about it."""
        for lane in self._lanes:
            lane.mended()
        self._contents.mended()
        self.wake()

    def start(self) -> None:
        """Begins to send."""
        self._clerk = asyncio.create_task(self._keep_ledger(), name="clerk")
        self._senders = [asyncio.create_task(self._send_from(outbox), name="sender") for outbox in self._outboxes]

    def wake(self) -> None:
        """Tells the senders to look at the ledger."""
        self._is_dry = self._is_stuck = False
        for outbox in self._outboxes:
            outbox.wake.set()

    def send_aside(self, aside: Aside, taken: Callable[[], None] = lambda: None) -> None:
        """Sends a message that the ledger does not owe, such as one to the organisers; calls `taken` if it was."""
        self._aside_taken[aside[""].message_id] = taken
        signed = {lane: replace(aside[lane], body=sign(aside[lane].body)) for lane, sign in self._signs.items()}
        self._send_aside({**aside, **signed})

    def _send_aside(self, aside: Aside) -> None:
        self._asides.add(aside)
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
        for lane in self._lanes:
            await lane.transport.close()
        self._is_closed = True
        self._asked.set()
        if self._clerk is not None:
            await self._clerk
        if self._alarm_clock is not None:
            self._alarm_clock.cancel()
        await self._write_ledger()
        self._signing.shutdown(wait=False)

    async def _send_from(self, outbox: LinkOutbox) -> None:
        while not self._is_stopping:
            await outbox.wake.wait()
            outbox.wake.clear()
            try:
                await outbox.lane.transport.carry(outbox)
            except Exception:
                log.exception("sending stopped until the next tick")
                outbox.give_up()

    # --- what an outbox asks and tells ---

    @property
    def may_send(self) -> bool:
        """Whether a message that the ledger owes may leave now, if a mail server takes it."""
        return not (self._is_stopping or self.hold)

    def room(self, lane: Lane) -> int:
        """How many more messages of the ledger this lane may be given now, if there are any for it."""
        is_wanted = self._helps(lane) or any(one.resends and self._is_for(lane, one) for one in self._claims)
        return lane.room(self._now()) if self.may_send and is_wanted else 0

    def may_hand_out(self, lane: Lane) -> bool:
        """Whether this lane may be given now what is in flight to it in the ledger."""
        return self.may_send and lane.room(self._now()) > 0

    def has_more(self, lane: Lane) -> bool:
        """Whether waiting for the clerk may bring a message to this lane."""
        return self.room(lane) > 0 and not self._is_stuck and not (self._is_dry and not self._claims)

    def may_leave(self, claim: Claim) -> bool:
        """Whether nothing stands against this message since it was composed."""
        session_id = claim.notice.session_id
        return session_id not in self.paused and session_id not in self._contents.sessions

    def compose(self, claim: Claim) -> Message | None:
        """The claim's message; None where it cannot be made now, which is noted."""
        try:
            message = self._compose(claim)
        except Exception as error:
            self._defer_uncomposed(claim, error)
            return None
        if message is None:
            self.withhold(claim)
        return message

    def _helps(self, lane: Lane) -> bool:
        return lane is self._lanes[0] or self._lanes[0].breaker.is_serious

    def _is_for(self, lane: Lane, claim: Claim) -> bool:
        """Whether this lane is to have it: what may have arrived, only the server knows that may have it."""
        return claim.lane == self._name_of(lane) if claim.resends else self._helps(lane)

    def _name_of(self, lane: Lane) -> str:
        """How the ledger calls the lane."""
        return "" if lane is self._lanes[0] else lane.name

    def next_aside(self, lane: Lane) -> tuple[Aside, Message] | None:
        """A message that the ledger does not owe, and as this lane is to have it."""
        if not self._asides or not self._helps(lane) or not lane.room(self._now()):
            return None
        aside = self._asides.take()
        return aside, aside[self._name_of(lane)]

    def gave(self, lane: Lane) -> None:
        """Takes note of a message that a lane was given."""
        lane.gave(self._now())

    def ask(self) -> None:
        """Has the clerk fill the outboxes and record what is known."""
        self._asked.set()

    def ask_soon(self) -> None:
        """The same, when a few messages have come together."""
        if not self._is_asked_soon:
            self._is_asked_soon = True
            asyncio.get_running_loop().call_later(AHEAD, self._asked.set)

    def heard(self, lane: Lane, claim: Claim, outcome: Outcome) -> None:
        """Takes note of what became of a message."""
        if self._contents.heed(outcome, claim.notice_id, claim.notice.session_id, self._now()):
            log.error("the mail server refuses the content notice=%s said=%r", _name(claim), outcome.reply)
            self._alarm("A mail is refused for its content", f"{_name(claim)}: {outcome.reply}")
        self._note(self._result(claim, outcome))
        self._heed(lane, outcome, _domain(claim.subscriber.address))

    def heard_aside(self, lane: Lane, aside: Aside, outcome: Outcome) -> None:
        """Takes note of what became of a message that the ledger does not owe; what was put off is tried again."""
        log.info("told the organisers: %s %s", outcome.answer, _address_free(outcome.reply))
        self._heed(lane, outcome, _domain(aside[""].recipient))
        if (attempts := self._asides.put_off(aside, outcome.answer)) is not None:
            wait = self._patience.after(attempts).total_seconds()
            asyncio.get_running_loop().call_later(wait, self._send_aside, aside)
            return
        taken = self._aside_taken.pop(aside[""].message_id, None)
        if taken is not None and outcome.answer is Answer.ACCEPTED:
            taken()

    def withhold(self, claim: Claim) -> None:
        """Gives back a claim that has to wait a little."""
        self._give_back(claim, self._now() + WITHHELD, "withheld: the session changes")

    def _give_back(self, claim: Claim, until: datetime, why: str) -> None:
        self._note(Result(claim, _unsent_state(claim), until, reply=why, counts=False))

    def _let_wait(self, claim: Claim) -> None:
        """Gives back a claim that no lane may have now but the one that rests, or is no more."""
        now = self._now()
        opens = [max(lane.opens_at(now), now + MOMENT) for lane in self._lanes if self._is_for(lane, claim)]
        why = "it may have arrived, and waits for the mail server that may have it"
        self._give_back(claim, min(opens, default=now + WITHHELD), why)

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
        self._contents.forgive(self._now())
        self._recall()
        wants = self._wanted()
        if not self._is_dry and sum(wants) > len(self._claims):
            limit = min(BATCH, max(sum(wants), *(self.room(lane) for lane in self._lanes)))
            claims = await self._store.claim(limit, self._now(), self.paused | self._contents.sessions)
            self._is_dry = len(claims) < limit
            self._claims.extend(_in_turns(claims))
        # In turns, so that a short list occupies every link.
        places = [
            o for turn in range(max(wants)) for o, wanted in zip(self._outboxes, wants, strict=True) if turn < wanted
        ]
        drafts: list[_Draft] = [(o, claim, None) for o in places if (claim := self._next_claim(o.lane)) is not None]
        self._set_alarm_clock()
        if self._signs:
            drafts = await self._signed(drafts)
        results, self._unrecorded = self._unrecorded, []
        if not results and not drafts:
            return
        try:
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
                self._note(self._withdrawn(claim))
        await self._keep_paces()

    async def _signed(self, drafts: Sequence[_Draft]) -> list[_Draft]:
        """The drafts, those of lanes that sign composed and signed.

        In other threads, since an RSA key takes a quarter of a millisecond for each.
        """
        loop = asyncio.get_running_loop()
        plain = [draft for draft in drafts if draft[1].lane not in self._signs]
        composed = [
            (o, claim, message)
            for o, claim, _ in drafts
            if claim.lane in self._signs and (message := self.compose(claim)) is not None
        ]
        try:
            bodies = await asyncio.gather(
                *(loop.run_in_executor(self._signing, self._signs[claim.lane], m.body) for _, claim, m in composed)
            )
        except BaseException:
            self._claims.extendleft(claim for _, claim, _ in reversed([*plain, *composed]))
            raise
        signed = [(o, claim, replace(m, body=body)) for (o, claim, m), body in zip(composed, bodies, strict=True)]
        return plain + signed

    def _withdrawn(self, claim: Claim) -> Result:
        if claim.notice.deadline <= self._now():
            # The next look gives it up, if the clock is right; by the right time it may be sent at once.
            return Result(claim, _unsent_state(claim), claim.opened_at, counts=False)
        return Result(claim, DeliveryState.CANCELLED, reply="it was withdrawn in the last moment", counts=False)

    def _wanted(self) -> list[int]:
        """How many more messages each outbox may have in flight, as far as its lane has room for them."""
        time = asyncio.get_running_loop().time()
        room = {lane: self.room(lane) for lane in self._lanes}
        for outbox in self._outboxes:
            room[outbox.lane] -= len(outbox.stock)
        wants = []
        for outbox in self._outboxes:
            wanted = outbox.wants(time) if outbox.is_open else 0
            wants.append(max(0, min(wanted, room[outbox.lane])))
            room[outbox.lane] -= wants[-1]
        return wants

    def _next_claim(self, lane: Lane) -> Claim | None:
        """The next one for this lane; None where there is none."""
        passed: list[Claim] = []
        try:
            while self._claims and self.room(lane):
                claim = self._claims.popleft()
                if self._is_for(lane, claim):
                    now = self._now()
                    if (opens := lane.opens_to(_domain(claim.subscriber.address), now)) <= now:
                        name = self._name_of(lane)
                        return claim if claim.lane == name else replace(claim, lane=name)
                    self._give_back(claim, min(opens, now + RESTING), "")
                elif any(self._is_for(other, claim) and self.may_hand_out(other) for other in self._lanes):
                    passed.append(claim)
                else:
                    self._let_wait(claim)
        finally:
            self._claims.extendleft(reversed(passed))
        return None

    def _defer_uncomposed(self, claim: Claim, error: Exception) -> None:
        """A template that fails for one reader, or for all, is mended sooner or later; the others go out meanwhile."""
        if not isinstance(error, NotifierError):
            log.exception("composing failed notice=%s sub=%d", _name(claim), claim.subscriber.id)
        state = DeliveryState.AMBIGUOUS if claim.is_resend else DeliveryState.DEFERRED
        later = self._now() + self._patience.after(claim.attempts)
        self._note(Result(claim, state, later, reply=f"it could not be composed: {error}"))
        self._alarm("A mail could not be composed", f"{_name(claim)}: {error}")

    def _recall(self) -> None:
        """Gives back to the ledger what no link has, as far as none of its lane is to have it now."""
        closed = [o for o in self._outboxes if o.stock and not (o.is_open and self.may_hand_out(o.lane))]
        claims = [claim for outbox in closed for claim, _ in outbox.stock]
        for outbox in closed:
            outbox.stock.clear()
        if self._claims and not any(self.room(lane) for lane in self._lanes):
            claims += self._claims
            self._claims.clear()
        self._unrecorded += [Result(claim, _unsent_state(claim), counts=False) for claim in claims]
        self._is_dry = self._is_dry and not claims

    def _note(self, result: Result) -> None:
        level = logging.DEBUG if result.state is DeliveryState.SENT else logging.INFO
        if log.isEnabledFor(level):
            said = _address_free(result.reply)
            facts = (result.state, _name(result.claim), result.claim.subscriber.id, result.code or "-", said)
            log.log(level, "%s notice=%s sub=%d code=%s said=%r", *facts)
        self._unrecorded.append(result)
        self.ask_soon()

    def _heed(self, lane: Lane, outcome: Outcome, domain: str) -> None:
        """Lets the mail server, or mail to a domain that refuses us, rest while no single recipient is the trouble."""
        was_half_open = lane.breaker.is_half_open
        links = lane.open_links
        rest = lane.heard(outcome, self._now(), domain)
        if lane.open_links < links:
            log.warning("the mail server is used over fewer links lane=%s links=%d", lane.name, lane.open_links)
        if rest is None:
            if was_half_open:
                self.wake()  # for the next probe, or for everything
            return
        level = logging.ERROR if lane.troubles else logging.WARNING
        said = _address_free(outcome.reply)
        whose = lane.name if lane.breaker.is_half_open else f"{lane.name} to={domain}"
        log.log(level, "the mail server is at fault lane=%s rest=%ds said=%r", whose, rest.total_seconds(), said)
        if lane.troubles:
            self._alarm("Mail cannot be sent", "; ".join(f"[{lane.name}] says: {words}" for words in lane.troubles))
        self._set_alarm_clock()

    def _set_alarm_clock(self) -> None:
        """Wakes the senders when a lane that has no room now has it again."""
        now = self._now()
        closed = [opens for lane in self._lanes if (opens := lane.opens_at(now)) > now]
        if self._alarm_clock is not None:
            self._alarm_clock.cancel()
            self._alarm_clock = None
        if closed and not self._is_closed:
            seconds = (min(closed) - now).total_seconds() + 0.01
            self._alarm_clock = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def _keep_paces(self) -> None:
        """Keeps what was spent of the limits, so that a restart does not give the day back."""
        spent = {f"spent {lane.name}": lane.pace.written() for lane in self._lanes if lane.pace.is_bounded}
        if spent:
            await self._store.note(spent)

    def _result(self, claim: Claim, outcome: Outcome) -> Result:
        if outcome.answer in (Answer.RELAY, Answer.UNTRIED):
            return Result(claim, _unsent_state(claim), code=outcome.code, reply=outcome.reply, counts=False)
        state, wait = _STATES[outcome.answer], None
        if outcome.answer is Answer.DEFERRED:
            wait = self._patience.after(claim.attempts)
        if outcome.answer is Answer.AMBIGUOUS:
            wait = min(self._patience.resend_after, (claim.notice.deadline - self._now()) / 2)
        not_before = self._now() + wait if wait is not None else None
        return Result(claim, state, not_before, outcome.code, outcome.reply, is_dead_address=outcome.is_dead_address)


_STATES = {
    Answer.ACCEPTED: DeliveryState.SENT,
    Answer.DEFERRED: DeliveryState.DEFERRED,
    Answer.REFUSED: DeliveryState.FAILED,
    Answer.AMBIGUOUS: DeliveryState.AMBIGUOUS,
}


_Draft = tuple[LinkOutbox, Claim, Message | None]


def _in_turns(claims: Sequence[Claim]) -> list[Claim]:
    """The claims with those of one notice in turns over the recipients' domains, none of which gets a burst."""
    turns: Counter[tuple[int, str]] = Counter()
    keyed = []
    for claim in claims:
        notice, domain = claim.notice_id, _domain(claim.subscriber.address)
        turns[notice, domain] += 1
        keyed.append((turns[notice, domain], claim))
    notices = {claim.notice_id: place for place, claim in reversed(list(enumerate(claims)))}
    return [claim for _, claim in sorted(keyed, key=lambda pair: (notices[pair[1].notice_id], pair[0]))]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _unsent_state(claim: Claim) -> DeliveryState:
    return DeliveryState.AMBIGUOUS if claim.is_resend else DeliveryState.QUEUED


def _address_free(words: str) -> str:
    """The same for a log, which must name nobody; a ledger may."""
    return re.sub(r"[^\s<>]+@[^\s<>]+", "[address]", words)


def _name(claim: Claim) -> str:
    return "/".join((claim.notice.session_id, claim.notice.rule, str(claim.notice.generation)))
