"""The ledger in one SQLite file: one connection, one thread, every commit durable.

One connection because SQLite before 3.51.3 can damage a WAL file when two connections write and checkpoint at once
(sqlite.org/wal.html, "the WAL-reset bug"); `synchronous=FULL` because a commit that a power cut rolls back would send
a mail twice. Each module beside this one holds the statements about one thing, and runs them in a transaction of the
store's.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from notifier.bulletins import Bulletin
from notifier.errors import Problem, StoreError
from notifier.intake import Accepted
from notifier.notices import Decision, Facts, Kind, Notice
from notifier.revisions import Identity
from notifier.stores import LANES, Audit, Claim, Consent, Delivery, Ended, Progress, Result, Returned, Review, Summary
from notifier.stores.sqlite import audits, deliveries, lists, openings, past, people, returns, reviews, subscriptions
from notifier.stores.sqlite.rows import ms
from notifier.stores.sqlite.schema import connect
from notifier.subscribers import State, Subscriber
from notifier.talks import Seminar, Session

T = TypeVar("T")


class SqliteStore:
    """A `Store` in one file. `resend` tells whether an ambiguous delivery is tried once more or held."""

    def __init__(
        self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, *, resend: bool, read_only: bool
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._resend = resend
        self._is_read_only = read_only
        self._known: dict[str, Any] = {}
        self._listed: dict[str, Session] = {}

    @classmethod
    async def open(cls, path: str | Path, *, resend: bool = True, read_only: bool = False) -> SqliteStore:
        """The store in this file, made when it is missing. A read-only one may stand beside a running daemon.

        Raises StoreError: damaged, of a newer version of the program, or not writable.
        """
        thread = ThreadPoolExecutor(1, "store")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect, path, read_only)
        except sqlite3.Error as error:
            thread.shutdown(wait=False)
            raise StoreError(
                Problem(f"the store cannot be used: {error}", "restore a backup or give another path", str(path))
            ) from error
        except StoreError:
            thread.shutdown(wait=False)
            raise
        return cls(connection, thread, resend=resend, read_only=read_only)

    async def close(self) -> None:
        await self._run(sqlite3.Connection.close)
        self._thread.shutdown()

    async def begin(self, now: datetime, rules: Iterable[str], lanes: Iterable[str] = LANES) -> None:
        def work(db: sqlite3.Connection) -> None:
            past.note_start(db, rules, ms(now))
            deliveries.take_over(db, ms(now), lanes, resend=self._resend)

        await self._write(work)

    async def announce(self, bulletin: Bulletin) -> None:
        await self._write(lambda db: past.announce(db, bulletin))

    async def fact(self, name: str, default: str = "") -> str:
        return (await self._recall("fact", past.small_facts)).get(name, default)

    async def note(self, facts: Mapping[str, str]) -> None:
        await self._write(lambda db: past.note(db, facts))

    async def facts(self) -> Facts:
        return await self._recall("facts", past.facts)

    async def accepted(self) -> Accepted | None:
        return await self._run(lists.accepted)

    async def accept(self, accepted: Accepted, identities: Iterable[Identity]) -> None:
        listed = {session.id: session for session in accepted.seminar.sessions}
        # Of a long list one edit changes one session, and the others are the very same objects.
        changed = [s for s in listed.values() if self._listed.get(s.id) is not s]
        told = list(identities)
        await self._write(lambda db: lists.accept(db, accepted, changed, told))
        self._listed = listed

    async def identities(self) -> dict[str, Identity]:
        return await self._run(lists.identities)

    async def settle(self, decisions: Sequence[Decision], session: Session, now: datetime) -> list[int]:
        return await self._write(lambda db: [openings.settle(db, decision, session, ms(now)) for decision in decisions])

    async def claim(self, limit: int, now: datetime, paused: Iterable[str] = ()) -> list[Claim]:
        return await self._write(lambda db: deliveries.claim(db, limit, ms(now), json.dumps(sorted(paused))))

    async def intend(self, claims: Sequence[Claim], now: datetime, results: Sequence[Result] = ()) -> list[bool]:
        record = deliveries.recording(results, now, resend=self._resend)
        return await self._write(deliveries.intending(claims, record, now))

    async def record(self, results: Sequence[Result], now: datetime) -> None:
        await self._write(deliveries.recording(results, now, resend=self._resend))

    async def expire(self, now: datetime) -> Ended:
        return await self._write(lambda db: deliveries.expire(db, now))

    async def decide(self, now: datetime, *, resend: bool) -> int:
        return await self._write(lambda db: deliveries.decide(db, now, resend=resend))

    async def count_as_sent(self, until: datetime) -> int:
        return await self._write(lambda db: deliveries.count_as_sent(db, until))

    async def subscribe(
        self, subscribers: Iterable[Subscriber], now: datetime, *, how: str = "", brings_back: bool = True
    ) -> list[bool]:
        wanted = list(subscribers)
        return await self._write(
            lambda db: [people.subscribe(db, one, ms(now), how, brings_back=brings_back) for one in wanted]
        )

    async def set_state(
        self, subscriber_id: int, state: State, now: datetime, *, how: str = "", reason: str = ""
    ) -> Subscriber | None:
        return await self._write(lambda db: people.set_state(db, subscriber_id, state, ms(now), how, reason))

    async def come_back(
        self, returned: Returned, now: datetime, *, limit: int, within: timedelta
    ) -> tuple[bool, Subscriber | None]:
        return await self._write(lambda db: returns.come_back(db, returned, ms(now), limit, ms(now - within)))

    async def ask(
        self, one: Subscriber, session: Session | None, now: datetime, *, per_address: int, in_all: int
    ) -> Kind | None:
        return await self._write(lambda db: subscriptions.ask(db, one, session, now, per_address, in_all))

    async def confirm(
        self, subscriber_id: int, session: Session | None, now: datetime, *, per_address: int
    ) -> Subscriber | None:
        return await self._write(lambda db: subscriptions.confirm(db, subscriber_id, session, now, per_address))

    async def prefer(self, wishes: Subscriber, now: datetime) -> Subscriber | None:
        return await self._write(lambda db: people.prefer(db, wishes, ms(now)))

    async def revoke(self, subscriber_id: int, now: datetime) -> Subscriber | None:
        return await self._write(lambda db: people.revoke(db, subscriber_id))

    async def erase(self, subscriber_id: int, now: datetime) -> bool:
        is_known = await self._write(lambda db: people.erase(db, subscriber_id, ms(now)))
        # What was erased is not to be read in the log of writes either.
        await self._run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        return is_known

    async def consents(self, subscriber_id: int) -> list[Consent]:
        return await self._run(lambda db: people.consents(db, subscriber_id))

    async def subscribers(self) -> list[Subscriber]:
        return await self._run(people.subscribers)

    async def subscriber_of(self, subscriber_id: int) -> Subscriber | None:
        return await self._run(lambda db: people.subscriber_of(db, subscriber_id))

    async def subscriber(self, address: str) -> Subscriber | None:
        return await self._run(lambda db: people.subscriber(db, address))

    async def deliveries(self, subscriber_id: int) -> list[Delivery]:
        return await self._run(lambda db: reviews.deliveries(db, subscriber_id))

    async def documents(self) -> dict[str, tuple[str, datetime]]:
        return await self._run(lists.documents)

    async def publish(self, documents: Mapping[str, tuple[str, datetime]]) -> None:
        rendered = dict(documents)
        await self._write(lambda db: lists.publish(db, rendered))

    async def counts(self, notices: Sequence[Notice], seminar: Seminar) -> list[int]:
        sessions = {session.id: session for session in seminar.sessions}
        return await self._run(lambda db: openings.counts(db, notices, sessions))

    async def progress(self) -> list[Progress]:
        return await self._recall("progress", reviews.progress)

    async def summary(self, now: datetime) -> Summary:
        return await self._run(lambda db: reviews.summary(db, ms(now)))

    async def audit(self, now: datetime, *, is_running: bool) -> Audit:
        return await self._run(lambda db: audits.audit(db, now, is_running=is_running))

    async def review(self, notices: int) -> Review:
        return await self._run(lambda db: reviews.review(db, notices))

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as error:
            raise StoreError(
                Problem(f"the store failed: {error}", "look at the disk; if it stays, restore a backup")
            ) from error

    async def _recall(self, name: str, derive: Callable[[sqlite3.Connection], T]) -> T:
        """What was derived last: while no other one may write, it stays true until something is changed here."""
        if name in self._known:
            found: T = self._known[name]
            return found
        derived = await self._run(derive)
        if not self._is_read_only:
            self._known[name] = derived
        return derived

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def transaction(db: sqlite3.Connection) -> tuple[T, bool]:
            before = db.total_changes
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk has rolled it back already
                    db.execute("ROLLBACK")
                raise
            return result, db.total_changes != before

        def look(done: asyncio.Future[tuple[T, bool]]) -> None:
            if done.cancelled() or done.exception() or done.result()[1]:
                self._known.clear()

        writing = asyncio.ensure_future(self._run(transaction))
        writing.add_done_callback(look)  # which is called before whoever waits here goes on
        # Shielded: a transaction that was begun ends, and its outcome is known, even when the caller is cancelled.
        return (await asyncio.shield(writing))[0]
