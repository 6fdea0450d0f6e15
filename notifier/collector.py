"""Returned mail → the ledger: read, matched with the delivery that it is about, and noted there once."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from notifier import marks, returns
from notifier.errors import TokenError
from notifier.mailboxes import Mailbox
from notifier.returns import Meaning, Reading
from notifier.stores import Delivery, Returned, Store
from notifier.subscribers import State
from notifier.tokens import Keyring, Purpose

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_BACK = timedelta(days=14)  # mail servers give up after five days
_ROUNDS = 20  # batches in one visit, so that a flooded mailbox leaves time for the rest
_MOST_PASSED = 10_000  # whoever has more unread mail has it looked at again
_NOTED = (Meaning.DELAYED, Meaning.SOFT, Meaning.HARD, Meaning.COMPLAINT)


@dataclass(frozen=True, slots=True)
class Leniency:
    """How many soft returns within which time are borne."""

    limit: int = 5
    within: timedelta = timedelta(days=60)


class Collector:
    """Empties one mailbox into the ledger; safe to be killed anywhere, because every tale is told only once.

    A mail is marked as read after the ledger has it. What is about no mail of ours stays unread for whoever reads the
    mailbox, and is not looked at again.
    """

    def __init__(
        self,
        store: Store,
        mailbox: Mailbox,
        keyring: Callable[[], Keyring],
        now: Callable[[], datetime],
        leniency: Leniency,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._keyring = keyring
        self._now = now
        self._leniency = leniency
        self._passed: dict[str, None] = {}  # in the order in which they were seen

    async def collect(self) -> Counter[str]:
        """How many mails meant what. Raises MailboxError where the mailbox cannot be read."""
        counts: Counter[str] = Counter()
        for _ in range(_ROUNDS):
            since = (self._now() - LOOK_BACK).date()
            readings = await _in_thread(self._read, since)
            settled = [key for key, reading in readings if await self._take(reading, counts)]
            await _in_thread(self._mailbox.settle, settled)
            self._pass_over(key for key, _ in readings if key not in settled)
            if not readings:
                break
        if counts:
            log.info("returned mail: %s", ", ".join(f"{number} {meaning}" for meaning, number in counts.items()))
        return counts

    def close(self) -> None:
        """Lets a visit that is going on fail at once."""
        self._mailbox.close()

    def _read(self, since: date) -> list[tuple[str, Reading]]:
        return [(item.key, returns.read(item.data)) for item in self._mailbox.fetch(self._passed, since)]

    def _pass_over(self, keys: Iterable[str]) -> None:
        self._passed |= dict.fromkeys(keys)
        for key in list(self._passed)[:-_MOST_PASSED]:
            del self._passed[key]

    async def _take(self, reading: Reading, counts: Counter[str]) -> bool:
        """Whether it was about a mail of ours, and is dealt with."""
        if reading.meaning is Meaning.UNSUBSCRIBE:
            is_ours = await self._unsubscribe(reading.marks)
        else:
            delivery = await self._delivery(reading.marks)
            is_ours = delivery is not None
            if delivery is not None:
                await self._note(reading, delivery)
        counts[str(reading.meaning) if is_ours else "not ours"] += 1
        return is_ours

    async def _unsubscribe(self, tokens: tuple[str, ...]) -> bool:
        """Only the token proves who writes: a sender's address proves nothing."""
        for token in tokens:
            try:
                grant = self._keyring().read(Purpose.UNSUBSCRIBE, token, self._now())
            except TokenError:
                continue
            known = await self._store.set_state(grant.subscriber_id, State.UNSUBSCRIBED, self._now(), how="mail")
            log.info("unsubscribed by mail sub=%d known=%s", grant.subscriber_id, known is not None)
            return True
        return False

    async def _delivery(self, words: tuple[str, ...]) -> Delivery | None:
        """The delivery that the first genuine mark is of."""
        keys = self._keyring().keys
        for word in words:
            for delivery in await self._store.deliveries(marks.subscriber_of(word)):
                if any(marks.is_genuine(word, key, delivery.notice.key) for key in keys):
                    return delivery
        return None

    async def _note(self, reading: Reading, delivery: Delivery) -> None:
        meaning = reading.about(delivery.address)
        if meaning not in _NOTED:
            return
        returned = Returned(delivery.notice.key, delivery.subscriber_id, meaning, reading.said)
        is_news, blocked = await self._store.come_back(
            returned, self._now(), limit=self._leniency.limit, within=self._leniency.within
        )
        key = "/".join(map(str, delivery.notice.key))
        if is_news:
            log.info("came back notice=%s sub=%d meaning=%s", key, delivery.subscriber_id, meaning)
        if blocked is not None:
            log.warning("blocked sub=%d because its mail came back meaning=%s", delivery.subscriber_id, meaning)


async def _in_thread(work: Callable[..., T], *arguments: object) -> T:
    """What the work returns; in a thread that a dead mail server cannot make a stopping daemon wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work(*arguments)
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="mailbox", daemon=True).start()
    return await done
