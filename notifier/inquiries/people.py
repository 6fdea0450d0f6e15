"""Who the subscribers are."""

from __future__ import annotations

from typing import Any

from notifier.config import Config
from notifier.errors import NotifierError, Problem
from notifier.inquiries import reading
from notifier.subscribers import Subscriber


async def everyone(config: Config) -> list[Subscriber]:
    """All subscribers, by address."""
    async with reading(config) as store:
        return await store.subscribers() if store else []


async def record(config: Config, address: str) -> dict[str, Any]:
    """All that is known of the subscriber at this address. Raises NotifierError for a stranger."""
    from notifier import subscriptions

    async with reading(config) as store:
        one = await store.subscriber(address) if store else None
        if store is None or one is None:
            raise NotifierError(Problem(f"'{address}' is no subscriber", "see notifier subscribers list"))
        return await subscriptions.record(store, one)


async def subscriber(config: Config, address: str) -> Subscriber | None:
    """The subscriber at this normalised address."""
    async with reading(config) as store:
        return await store.subscriber(address) if store else None
