"""A crash at every point that there is: after each commit of the ledger, and after each message that a server took.

Kills at random instants (`test_kills`) may miss one; here the ledger's file is copied after every commit, and from each
copy a daemon of the next morning goes on, knowing what had been taken by then only from that file.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from samples import DAYS, HOURS, LONG_AGO, START, session

from notifier.dispatch import Dispatcher
from notifier.lanes import Lane
from notifier.messages import Message
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.outboxes import MOST
from notifier.replies import Answer, Outcome
from notifier.stores import Claim
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber
from notifier.transports import Outbox

DUE = START - DAYS
LINKS = 2
PEOPLE = [f"p{n}@example.org" for n in range(14)]


class CopyingStore(SqliteStore):
    """A ledger that leaves a copy of itself after every commit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.copies: list[Path] = []
        self.is_over = False
        self._changes = -1

    async def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        def watched(db: sqlite3.Connection) -> Any:
            result = work(db)
            if not self.is_over and db.total_changes != self._changes:
                self._changes = db.total_changes
                self.copies.append(self._copied(db))
            return result

        return await super()._run(watched)

    def _copied(self, db: sqlite3.Connection) -> Path:
        path = Path(db.execute("PRAGMA database_list").fetchone()["file"])
        copy = path.parent / f"{len(self.copies)}.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        return copy


@dataclass
class Post:
    """A mail server that takes everything, after a turn of the loop."""

    taken: list[str] = field(default_factory=list)
    took: Callable[[], None] = lambda: None

    async def carry(self, outbox: Outbox) -> None:
        while (envelope := await outbox.next()) is not None:
            self.taken.append(envelope.recipient)
            self.took()
            await asyncio.sleep(0)
            outbox.tell(envelope, Outcome(Answer.ACCEPTED, 250, "ok"))

    async def close(self) -> None:
        pass


def written(claim: Claim) -> Message:
    return Message("seminar@example.org", claim.subscriber.address, f"<{claim.key}@example.org>", b"hello\r\n")


async def send_all(store: SqliteStore, post: Post) -> None:
    dispatcher = Dispatcher(store, [Lane(post, LINKS)], written, lambda: DUE)
    dispatcher.start()
    async with asyncio.timeout(30):
        while (await store.summary(DUE)).deliveries != {"sent": len(PEOPLE)}:
            dispatcher.wake()
            await asyncio.sleep(0.005)
    await dispatcher.stop()


@pytest.mark.chaos
async def test_after_a_crash_at_any_point_nobody_is_skipped_and_only_what_was_in_flight_may_come_twice(
    tmp_path: Path,
) -> None:
    store = await CopyingStore.open(tmp_path / "notifier.db")
    assert isinstance(store, CopyingStore)
    await store.begin(LONG_AGO, ())
    await store.subscribe([Subscriber(address) for address in PEOPLE], LONG_AGO)
    notice = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, DUE, DUE + 8 * HOURS, DAYS, Recipients(True))
    await store.settle([Decision(notice, Verdict.OPEN)], session(), DUE)
    opened = len(store.copies)
    post = Post()
    # What may have been taken when the machine dies: with each copy, all that came before the next one.
    taken_by: dict[int, list[str]] = {}

    def took() -> None:
        taken_by[len(store.copies) - 1] = list(post.taken)

    post.took = took
    await send_all(store, post)
    points = range(opened - 1, len(store.copies))
    store.is_over = True
    await store.close()
    assert len(points) > len(PEOPLE) / MOST
    before: list[str] = []
    for point in points:
        for taken in (before, before := taken_by.get(point, before)):
            await _goes_on(store.copies[point], taken)


async def _goes_on(copy: Path, taken: list[str]) -> None:
    """A daemon on this copy, after so many were taken."""
    path = copy.with_suffix(".again")
    for suffix in ("", "-wal"):
        shutil.copy(f"{copy}{suffix}", f"{path}{suffix}")
    store = await SqliteStore.open(path)
    async with asyncio.timeout(30):
        in_flight = (await store.summary(DUE)).deliveries.get("in-flight", 0)
        await store.begin(DUE, ())
        again = Post()
        await send_all(store, again)
    await store.close()
    assert set(taken) | set(again.taken) == set(PEOPLE)
    assert len(again.taken) == len(set(again.taken))
    assert len(set(taken) & set(again.taken)) <= in_flight <= LINKS * MOST
