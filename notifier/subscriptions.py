"""What readers do about their own subscription: ask, confirm, choose, leave, come back, take their record, be erased.

Whoever holds a link made for it may do so, and nobody else. Every act can be repeated and then changes nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from notifier.errors import LimitError, Problem, TokenError, TokenExpired
from notifier.networks import Address, neighbours
from notifier.quotas import Quotas
from notifier.stores import Store
from notifier.subscribers import Allowance, State, Subscriber, written
from notifier.talks import Session
from notifier.tokens import Keyring, Purpose, SignedLinks

log = logging.getLogger(__name__)

UNDO_WITHIN = timedelta(days=30)
HOUR = timedelta(hours=1)

_GONE = Problem("this link is void", "ask for a new subscription")


class Subscriptions:
    """Acts upon `store`. `coming` gives the session that mails tell of besides; `wake` has them sent at once."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        base_url: str,
        allowance: Allowance,
        *,
        now: Callable[[], datetime],
        coming: Callable[[datetime], Session | None],
        wake: Callable[[], None],
    ) -> None:
        self.keyring = keyring
        self._base_url = base_url
        self._store, self._allowance = store, allowance
        self._now, self._coming, self._wake = now, coming, wake
        self._networks = Quotas(allowance.requests_per_network, HOUR)

    async def ask(self, one: Subscriber, client: Address | None) -> None:
        """Has the address asked whether it wants a subscription; what comes of it, only its owner learns.

        Raises LimitError where this network, or all together, ask too often.
        """
        now = self._now()
        if client is not None and not self._networks.take(neighbours(client), now):
            raise LimitError(Problem("too many requests came from your network", "try again in an hour"))
        allowed = self._allowance
        opened = await self._store.ask(
            one, self._coming(now), now, per_address=allowed.mails_per_address, in_all=allowed.mails_per_hour
        )
        log.info("asked for a subscription mail=%s", opened or "none")
        self._wake()

    def now(self) -> datetime:
        """What time it is."""
        return self._now()

    def coming(self) -> Session | None:
        """The next session, as the organisers know it."""
        return self._coming(self._now())

    def links(self, one: Subscriber) -> dict[str, str]:
        """The subscriber's own links, by what they are for."""
        signed, now = SignedLinks(self._base_url, self.keyring), self._now()
        return {str(purpose): signed.url(purpose, one, now) for purpose in Purpose if purpose is not Purpose.CONFIRM}

    async def whose(self, purpose: Purpose, token: str) -> Subscriber:
        """The subscriber to whom a link was given.

        Raises:
            TokenExpired: the link's time is over, or its subscriber was forgotten.
            TokenError: it is no link for this purpose, or was revoked.
        """
        grant = self.keyring.read(purpose, token, self._now())
        one = await self._store.subscriber_of(grant.subscriber_id)
        if one is None:
            raise TokenExpired(_GONE)
        if grant.series is not None and grant.series != one.series:
            raise TokenError(_GONE)
        return one

    async def feed_reader(self, token: str) -> Subscriber:
        """The subscriber whose calendar this link leads to. Raises TokenError, also once they have left."""
        one = await self.whose(Purpose.FEED, token)
        if one.state is not State.CONFIRMED:
            raise TokenExpired(_GONE)
        return one

    async def confirm(self, token: str) -> Subscriber:
        """Begins the subscription; the blocked stay so. Raises TokenError."""
        one = await self.whose(Purpose.CONFIRM, token)
        limit = self._allowance.mails_per_address
        now = self._now()
        confirmed = await self._store.confirm(one.id, self._coming(now), now, per_address=limit)
        self._wake()
        return _there(confirmed)

    async def prefer(self, token: str, wishes: Subscriber) -> Subscriber:
        """Takes over name, language, zone and wishes. Raises TokenError."""
        one = await self.whose(Purpose.PREFERENCES, token)
        return _there(await self._store.prefer(replace(wishes, id=one.id), self._now()))

    async def unsubscribe(self, token: str) -> Subscriber:
        """Ends all mail. Raises TokenError."""
        one = await self.whose(Purpose.UNSUBSCRIBE, token)
        return _there(await self._store.set_state(one.id, State.UNSUBSCRIBED, self._now(), how="link"))

    async def resubscribe(self, token: str) -> Subscriber:
        """Takes back an unsubscription that is not long past. Raises TokenError."""
        one, now = await self.whose(Purpose.UNSUBSCRIBE, token), self._now()
        if one.state is State.UNSUBSCRIBED and one.changed and now - one.changed > UNDO_WITHIN:
            raise TokenExpired(_GONE)
        if one.state is not State.UNSUBSCRIBED:
            return one
        return _there(await self._store.set_state(one.id, State.CONFIRMED, now, how="undone"))

    async def revoke(self, token: str) -> Subscriber:
        """Makes all private links void, this one too; the subscriber has their new ones. Raises TokenError."""
        one = await self.whose(Purpose.PREFERENCES, token)
        return _there(await self._store.revoke(one.id, self._now()))

    async def erase(self, token: str) -> None:
        """Forgets the subscriber; what was sent stays in the ledger as numbers. Raises TokenError."""
        one = await self.whose(Purpose.PREFERENCES, token)
        await self._store.erase(one.id, self._now())
        log.info("erased sub=%d at their wish", one.id)

    async def record(self, token: str) -> dict[str, Any]:
        """All that is known of the subscriber, for themselves. Raises TokenError."""
        return await record(self._store, await self.whose(Purpose.PREFERENCES, token))


async def record(store: Store, one: Subscriber) -> dict[str, Any]:
    """All that the ledger knows of a subscriber: address and wishes, consents, and what was sent."""
    return {
        "subscriber": {name: text for name, text in written(one).items() if text},
        "consents": [
            {"at": c.at.isoformat(), "state": str(c.state), "how": c.how} for c in await store.consents(one.id)
        ],
        "mails": [
            {
                "session": d.notice.told_session, "kind": str(d.notice.kind), "notice": d.notice.rule,
                "opened": d.opened_at.isoformat(), "state": str(d.state), "since": d.updated_at.isoformat(),
            }
            for d in await store.deliveries(one.id)
        ],
    }  # fmt: skip


def _there(one: Subscriber | None) -> Subscriber:
    if one is None:  # erased since their link was read
        raise TokenExpired(_GONE)
    return one
