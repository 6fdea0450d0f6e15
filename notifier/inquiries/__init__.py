"""What a person asks that changes nothing; in the files by what it is about, as in `commands`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notifier import wiring
from notifier.config import Config
from notifier.stores import Store


@asynccontextmanager
async def reading(config: Config) -> AsyncIterator[Store | None]:
    """The ledger, only to read, also beside a running daemon; None where there is none yet."""
    if not config.store.path.exists():
        yield None
        return
    store = await wiring.open_store(config, read_only=True)
    try:
        yield store
    finally:
        await store.close()
