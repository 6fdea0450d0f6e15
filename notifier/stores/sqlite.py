"""The ledger in one SQLite file: one connection, one thread, every commit durable.

One connection because SQLite before 3.51.3 can damage a WAL file when two connections write and checkpoint at once
(sqlite.org/wal.html, "the WAL-reset bug"); `synchronous=FULL` because a commit that a power cut rolls back would send
a mail twice. Instants are whole milliseconds since 1970 in UTC.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from notifier import talks
from notifier.errors import LimitError, Problem, StoreError
from notifier.intake import Accepted
from notifier.notices import BESIDE, Decision, Facts, Key, Kind, Notice, Recipients, Settled, Verdict
from notifier.returns import Meaning
from notifier.revisions import Identity
from notifier.stores import (
    APPROVAL,
    Claim,
    Consent,
    Delivery,
    DeliveryState,
    Ended,
    Progress,
    Punctuality,
    Result,
    Returned,
    Review,
    Summary,
)
from notifier.subscribers import CONFIRM_WITHIN, State, Subscriber, comparable, searchable
from notifier.talks import Seminar, Session

T = TypeVar("T")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_FIRST_SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE rule (name TEXT PRIMARY KEY, first_seen INTEGER NOT NULL) STRICT;
CREATE TABLE accepted (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seminar TEXT NOT NULL, text BLOB NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE listed (session_id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE session (
    id TEXT PRIMARY KEY, uid TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    revision INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL
) STRICT;
CREATE TABLE document (name TEXT PRIMARY KEY, etag TEXT NOT NULL, modified INTEGER NOT NULL) STRICT;
CREATE TABLE subscriber (
    id INTEGER PRIMARY KEY, comparable TEXT NOT NULL UNIQUE, address TEXT NOT NULL, name TEXT NOT NULL,
    language TEXT NOT NULL, timezone TEXT NOT NULL, state TEXT NOT NULL,
    created INTEGER NOT NULL, changed INTEGER NOT NULL
) STRICT;
CREATE TABLE lead (
    subscriber_id INTEGER NOT NULL REFERENCES subscriber(id) ON DELETE CASCADE, seconds INTEGER NOT NULL,
    PRIMARY KEY (subscriber_id, seconds)
) STRICT, WITHOUT ROWID;
CREATE TABLE notice (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, kind TEXT NOT NULL, rule TEXT NOT NULL,
    generation INTEGER NOT NULL, due INTEGER NOT NULL, deadline INTEGER NOT NULL, lead INTEGER,
    verdict TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,
    snapshot TEXT NOT NULL, before TEXT, reached INTEGER NOT NULL DEFAULT 0,
    UNIQUE (session_id, rule, generation)
) STRICT;
CREATE TABLE delivery (
    notice_id INTEGER NOT NULL REFERENCES notice(id), subscriber_id INTEGER NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, resends INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER, code INTEGER, reply TEXT NOT NULL DEFAULT '', updated INTEGER NOT NULL,
    PRIMARY KEY (notice_id, subscriber_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_waiting ON delivery (not_before) WHERE state IN ('queued', 'deferred', 'ambiguous');
CREATE INDEX delivery_of_subscriber ON delivery (subscriber_id);
"""
# AUTOINCREMENT, because who is erased leaves their number in the ledger and in links: nobody else may ever get it.
_WISHES = """
CREATE TABLE subscriber_ (
    id INTEGER PRIMARY KEY AUTOINCREMENT, comparable TEXT NOT NULL UNIQUE, address TEXT NOT NULL, name TEXT NOT NULL,
    language TEXT NOT NULL, timezone TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    declined TEXT NOT NULL DEFAULT '[]', words TEXT NOT NULL DEFAULT '[]', paused_until INTEGER,
    series INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, changed INTEGER NOT NULL
) STRICT;
INSERT INTO subscriber_ (id, comparable, address, name, language, timezone, state, created, changed)
    SELECT id, comparable, address, name, language, timezone, state, created, changed FROM subscriber;
DROP TABLE subscriber;
ALTER TABLE subscriber_ RENAME TO subscriber;
CREATE TABLE consent (
    subscriber_id INTEGER NOT NULL REFERENCES subscriber(id) ON DELETE CASCADE,
    at INTEGER NOT NULL, state TEXT NOT NULL, how TEXT NOT NULL
) STRICT;
CREATE INDEX consent_of_subscriber ON consent (subscriber_id);
"""
_RETURNED_MAIL = """
CREATE TABLE returned (
    notice_id INTEGER NOT NULL REFERENCES notice(id), subscriber_id INTEGER NOT NULL,
    meaning TEXT NOT NULL, said TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (notice_id, subscriber_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX returned_of_subscriber ON returned (subscriber_id, at);
"""
_REQUESTS = "CREATE INDEX notice_of_subscriptions ON notice (at) WHERE session_id BETWEEN '@' AND 'A';"
_OPEN_STATES = "state IN ('queued', 'claimed', 'deferred', 'ambiguous')"
# By these neither a claim nor a tick grows with the length of a list or with the years behind it.
_OWED = f"""
DROP INDEX delivery_waiting;
CREATE INDEX delivery_owed ON delivery (notice_id, not_before) WHERE {_OPEN_STATES};
CREATE INDEX notice_by_deadline ON notice (deadline);
CREATE INDEX subscriber_unconfirmed ON subscriber (changed) WHERE state = 'unconfirmed';
"""
_BLOCKS = "CREATE INDEX consent_to_nothing ON consent (at) WHERE state = 'blocked';"
_LANES = "ALTER TABLE delivery ADD COLUMN lane TEXT NOT NULL DEFAULT '';"
# Each makes of a store of the version before it one of its own.
_SCHEMAS = (_FIRST_SCHEMA, _WISHES, _RETURNED_MAIL, _REQUESTS, _OWED, _BLOCKS, _LANES)
SCHEMA_VERSION = len(_SCHEMAS)

_RECIPIENTS = """
    SELECT s.id FROM subscriber s WHERE s.state = 'confirmed' AND (
        (
            coalesce(s.paused_until <= :at, TRUE)
            AND (s.words = '[]' OR EXISTS (SELECT 1 FROM json_each(s.words) WHERE instr(:about, value)))
            AND (
                (:everyone AND NOT instr(s.declined, '"announcement"'))
                OR (NOT instr(s.declined, '"reminder"') AND (
                    (:by_default AND NOT EXISTS (SELECT 1 FROM lead WHERE subscriber_id = s.id))
                    OR EXISTS (SELECT 1 FROM lead WHERE subscriber_id = s.id
                               AND seconds IN (SELECT value FROM json_each(:leads)))))
            )
        )
        OR (:told AND s.id IN (
            SELECT d.subscriber_id FROM delivery d JOIN notice n ON n.id = d.notice_id
            WHERE n.session_id IN (:session_id, '@' || :session_id)
            AND d.state IN ('queued', 'claimed', 'in-flight', 'sent', 'deferred', 'ambiguous')))
    )
"""
_IS_ADDRESSED = (
    "CASE n.kind WHEN 'confirmation' THEN s.state IN ('unconfirmed', 'unsubscribed') ELSE s.state = 'confirmed' END"
)
_SUBSCRIBER = "s.*, (SELECT group_concat(seconds) FROM lead WHERE subscriber_id = s.id) AS leads"
_NEVER = str(253402214400000)  # 9999-12-31: before the first start nothing is old enough to be due
RESENDS = 3  # of a mail whose fate is unknown: each may be a copy too many, and all may be one too few
# An ambiguous row without a time waits for nothing: it was resent often enough, or the operator chose to hold it.
_UNSENT = f"{_OPEN_STATES} AND (state <> 'ambiguous' OR not_before IS NOT NULL)"

_UNDECIDED = f"{_OPEN_STATES} AND state = 'ambiguous' AND not_before IS NULL"

# A whole list is one statement: Python's sqlite3 lets go of the interpreter for every row that it steps to, and under
# load it takes longer to get it back than the row takes.
_OF_LIST = """
    FROM json_each(:rows) AS row
    WHERE delivery.notice_id = json_extract(row.value, '$[0]')
      AND delivery.subscriber_id = json_extract(row.value, '$[1]')
"""
_TAKE = f"""
    UPDATE delivery SET state = 'claimed', resends = resends + (state = 'ambiguous'), updated = :now {_OF_LIST}
"""
_STANDING = f"""
    SELECT json_group_array(row.key) FROM json_each(:rows) AS row
    JOIN delivery d ON d.notice_id = json_extract(row.value, '$[0]')
                   AND d.subscriber_id = json_extract(row.value, '$[1]') AND d.state = 'claimed'
    JOIN notice n ON n.id = d.notice_id AND n.deadline > :now
    JOIN subscriber s ON s.id = d.subscriber_id AND {_IS_ADDRESSED}
"""
_INTEND = f"UPDATE delivery SET state = 'in-flight', lane = '', updated = :now {_OF_LIST}"
# Few ever leave by another lane than the first.
_INTEND_ELSEWHERE = "UPDATE delivery SET lane = ? WHERE notice_id = ? AND subscriber_id = ? AND state = 'in-flight'"
# A row that was settled meanwhile, by a change of the session or by its deadline, stays as it is.
_RECORD = f"""
    UPDATE delivery SET state = json_extract(row.value, '$[2]'), attempts = attempts + json_extract(row.value, '$[3]'),
        resends = resends - json_extract(row.value, '$[4]'), not_before = json_extract(row.value, '$[5]'),
        code = json_extract(row.value, '$[6]'), reply = coalesce(json_extract(row.value, '$[7]'), reply), updated = :now
    {_OF_LIST} AND delivery.state IN ('claimed', 'in-flight')
"""

# What was on the wire when a change of its session opened, and is to be tried again: the change has taken its place.
_SUPERSEDE = f"""
    UPDATE delivery SET state = 'cancelled', not_before = NULL, reply = 'told by the change mail instead', updated = :at
    WHERE {_UNSENT} AND EXISTS (
        SELECT 1 FROM notice old JOIN notice new ON new.session_id = old.session_id AND new.id > old.id
        JOIN delivery d ON d.notice_id = new.id AND d.subscriber_id = delivery.subscriber_id
        WHERE old.id = delivery.notice_id AND new.kind IN ('change', 'cancelled'))
"""

# Whose deliveries the next `expire` looks at; of this connection alone, which is the only one that writes.
_WATCH = """
CREATE TEMP TABLE changed (subscriber_id INTEGER PRIMARY KEY);
CREATE TEMP TRIGGER subscriber_changed AFTER UPDATE OF state ON main.subscriber WHEN old.state <> new.state
BEGIN INSERT OR IGNORE INTO changed VALUES (new.id); END;
CREATE TEMP TRIGGER subscriber_erased AFTER DELETE ON main.subscriber
BEGIN INSERT OR IGNORE INTO changed VALUES (old.id); END;
INSERT INTO changed SELECT DISTINCT d.subscriber_id FROM delivery d
    WHERE d.state IN ('queued', 'claimed', 'in-flight', 'deferred', 'ambiguous');
"""


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
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path, read_only)
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

    async def begin(self, now: datetime, rules: Iterable[str]) -> None:
        at = _ms(now)

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR IGNORE INTO fact VALUES ('baseline', ?)", (str(at),))
            db.executemany("INSERT OR IGNORE INTO rule VALUES (?, ?)", [(name, at) for name in rules])
            db.execute(
                "UPDATE delivery SET state = 'queued', updated = ? WHERE state = 'claimed' AND resends = 0",
                (at,),
            )
            # Always resent, however often: between an intent and its DATA a mail has not left, and nobody is skipped.
            db.execute(
                "UPDATE delivery SET state = 'ambiguous', updated = :at,"
                " reply = 'the daemon died with this mail on the wire',"
                " not_before = iif(:resend, :at, NULL) WHERE state = 'in-flight'",
                {"at": at, "resend": self._resend},
            )
            # What is claimed still was being resent: it stays ambiguous until that resend is done.
            db.execute(
                "UPDATE delivery SET state = 'ambiguous', not_before = :at, updated = :at WHERE state = 'claimed'",
                {"at": at},
            )
            db.execute(_SUPERSEDE, {"at": at})

        await self._write(work)

    async def fact(self, name: str, default: str = "") -> str:
        facts: dict[str, str] = await self._recall("fact", lambda db: dict(db.execute("SELECT * FROM fact").fetchall()))
        return facts.get(name, default)

    async def note(self, facts: Mapping[str, str]) -> None:
        await self._write(lambda db: db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(facts.items())))

    async def facts(self) -> Facts:
        return await self._recall("facts", _facts)

    async def accepted(self) -> Accepted | None:
        return await self._run(_accepted)

    async def accept(self, accepted: Accepted, identities: Iterable[Identity]) -> None:
        rows = [(i.id, i.uid, i.digest, i.revision, _ms(i.created), _ms(i.modified)) for i in identities]
        listed = {session.id: session for session in accepted.seminar.sessions}
        # Of a long list one edit changes one session, and the others are the very same objects.
        changed = [s for s in listed.values() if self._listed.get(s.id) is not s]

        def work(db: sqlite3.Connection) -> None:
            _accept(db, accepted, changed)
            db.executemany("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?)", rows)

        await self._write(work)
        self._listed = listed

    async def identities(self) -> dict[str, Identity]:
        rows = await self._run(lambda db: db.execute("SELECT * FROM session").fetchall())
        return {
            row["id"]: Identity(
                row["id"],
                row["uid"],
                row["digest"],
                row["revision"],
                _instant(row["created"]),
                _instant(row["modified"]),
            )
            for row in rows
        }

    async def settle(self, decisions: Sequence[Decision], session: Session, now: datetime) -> list[int]:
        return await self._write(lambda db: [_settle(db, decision, session, _ms(now)) for decision in decisions])

    async def claim(self, limit: int, now: datetime, paused: Iterable[str] = ()) -> list[Claim]:
        return await self._write(lambda db: _claim(db, limit, _ms(now), json.dumps(sorted(paused))))

    async def intend(self, claims: Sequence[Claim], now: datetime, results: Sequence[Result] = ()) -> list[bool]:
        at = _ms(now)
        keys = [claim.key for claim in claims]
        elsewhere = [(claim.lane, *claim.key) for claim in claims if claim.lane]
        record = self._recording(results, now)

        def work(db: sqlite3.Connection) -> list[bool]:
            record(db)
            (told,) = db.execute(_STANDING, {"rows": json.dumps(keys), "now": at}).fetchone()
            standing = set(json.loads(told))
            db.execute(_INTEND, {"rows": json.dumps([keys[n] for n in standing]), "now": at})
            db.executemany(_INTEND_ELSEWHERE, elsewhere)
            return [n in standing for n in range(len(keys))]

        return await self._write(work)

    async def record(self, results: Sequence[Result], now: datetime) -> None:
        await self._write(self._recording(results, now))

    def _recording(self, results: Sequence[Result], now: datetime) -> Callable[[sqlite3.Connection], None]:
        at = _ms(now)
        rows = [
            (
                *result.claim.key,
                result.state,
                int(result.counts),
                int(result.claim.is_resend and not result.counts),
                _ms(result.not_before or now) if _may_be_tried(result, resend=self._resend) else None,
                result.code,
                result.reply or (None if not result.counts else ""),
            )
            for result in results
        ]
        dead = [(result.claim.subscriber.id, result.reply) for result in results if result.is_dead_address]

        put_off = [
            {"at": at, "notice": result.claim.notice_id, "subscriber": result.claim.subscriber.id}
            for result in results
            if result.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.AMBIGUOUS)
        ]

        def work(db: sqlite3.Connection) -> None:
            if rows:
                db.execute(_RECORD, {"rows": _json(rows), "now": at})
            db.executemany(f"{_SUPERSEDE} AND notice_id = :notice AND subscriber_id = :subscriber", put_off)
            for subscriber_id, reply in dead:
                _block_dead(db, subscriber_id, reply, at, "mail server")

        return work

    async def expire(self, now: datetime) -> Ended:
        def work(db: sqlite3.Connection) -> Ended:
            db.execute(
                "DELETE FROM subscriber WHERE state = 'unconfirmed' AND changed <= ?", (_ms(now - CONFIRM_WITHIN),)
            )
            left = db.execute(
                "UPDATE delivery SET state = 'cancelled', reply = 'no longer a subscriber', updated = ?"
                f" WHERE ({_UNSENT}) AND subscriber_id IN (SELECT subscriber_id FROM changed)"
                " AND NOT EXISTS (SELECT 1 FROM subscriber s JOIN notice n ON n.id = notice_id"
                f" WHERE s.id = subscriber_id AND {_IS_ADDRESSED})",
                (_ms(now),),
            ).rowcount
            # Of a mail that was on the wire when its reader was erased, the answer came after them.
            db.execute(
                "UPDATE delivery SET reply = '' WHERE state IN ('sent', 'failed', 'ambiguous') AND subscriber_id IN"
                " (SELECT subscriber_id FROM changed WHERE subscriber_id NOT IN (SELECT id FROM subscriber))"
            )
            # What is in flight may be put off yet, and then it is to be looked at again.
            db.execute(
                "DELETE FROM changed WHERE NOT EXISTS (SELECT 1 FROM delivery d"
                " WHERE d.subscriber_id = changed.subscriber_id AND d.state = 'in-flight')"
            )
            # What may have arrived stays so: who may have been told is told when the session changes.
            late = db.execute(
                "UPDATE delivery INDEXED BY delivery_owed SET not_before = NULL, updated = :now,"
                " state = iif(state = 'ambiguous' OR resends > 0, 'ambiguous', 'expired'),"
                " reply = trim('its deadline passed; ' || reply, '; ')"
                f" WHERE {_UNSENT} AND notice_id IN (SELECT id FROM notice WHERE deadline <= :now)",
                {"now": _ms(now)},
            ).rowcount
            return Ended(left, late)

        return await self._write(work)

    async def decide(self, now: datetime, *, resend: bool) -> int:
        change = (
            "not_before = :now, updated = :now WHERE notice_id IN (SELECT id FROM notice WHERE deadline > :now) AND"
            if resend
            # It keeps its time: then it was most likely sent.
            else "state = 'sent', reply = trim('counted as sent by a person; ' || reply, '; ') WHERE"
        )
        return await self._write(
            lambda db: db.execute(f"UPDATE delivery SET {change} {_UNDECIDED}", {"now": _ms(now)}).rowcount
        )

    async def subscribe(
        self, subscribers: Iterable[Subscriber], now: datetime, *, how: str = "", brings_back: bool = True
    ) -> list[bool]:
        wanted = list(subscribers)
        return await self._write(
            lambda db: [_subscribe(db, one, _ms(now), how, brings_back=brings_back) for one in wanted]
        )

    async def set_state(
        self, subscriber_id: int, state: State, now: datetime, *, how: str = "", reason: str = ""
    ) -> Subscriber | None:
        return await self._write(lambda db: _set_state(db, subscriber_id, state, _ms(now), how, reason))

    async def come_back(
        self, returned: Returned, now: datetime, *, limit: int, within: timedelta
    ) -> tuple[bool, Subscriber | None]:
        return await self._write(lambda db: _come_back(db, returned, _ms(now), limit, _ms(now - within)))

    async def ask(
        self, one: Subscriber, session: Session | None, now: datetime, *, per_address: int, in_all: int
    ) -> Kind | None:
        def work(db: sqlite3.Connection) -> Kind | None:
            recent = db.execute(_MAILS_OF_SUBSCRIPTIONS, (_ms(now - HOUR),)).fetchone()[0]
            if recent >= in_all:
                raise LimitError(Problem("too many people ask for a subscription at once", "try again in an hour"))
            known = _asked(db, one, _ms(now))
            kind = Kind.WELCOME if known.state is State.CONFIRMED else Kind.CONFIRMATION
            if known.state is State.BLOCKED or _mails_since(db, known.id, now - DAY) >= per_address:
                return None
            # Who does not answer does not want it, however often somebody asks in their name.
            if kind is Kind.CONFIRMATION and _mails_since(db, known.id, now - CONFIRM_WITHIN) >= 2 * per_address:
                return None
            _open_for(db, kind, known.id, session, now)
            return kind

        return await self._write(work)

    async def confirm(
        self, subscriber_id: int, session: Session | None, now: datetime, *, per_address: int
    ) -> Subscriber | None:
        def work(db: sqlite3.Connection) -> Subscriber | None:
            before = _subscriber(db, subscriber_id)
            one = _set_state(db, subscriber_id, State.CONFIRMED, _ms(now), "link")
            if before and one and before.state is not one.state and _mails_since(db, one.id, now - DAY) < per_address:
                _open_for(db, Kind.WELCOME, one.id, session, now)
            return one

        return await self._write(work)

    async def prefer(self, wishes: Subscriber, now: datetime) -> Subscriber | None:
        def work(db: sqlite3.Connection) -> Subscriber | None:
            known = _subscriber(db, wishes.id)
            if known is None:
                return None
            _keep(db, replace(wishes, address=known.address, state=known.state, reason=known.reason), _ms(now), "")
            return _subscriber(db, wishes.id)

        return await self._write(work)

    async def revoke(self, subscriber_id: int, now: datetime) -> Subscriber | None:
        def work(db: sqlite3.Connection) -> Subscriber | None:
            db.execute("UPDATE subscriber SET series = series + 1 WHERE id = ?", (subscriber_id,))
            return _subscriber(db, subscriber_id)

        return await self._write(work)

    async def erase(self, subscriber_id: int, now: datetime) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            # What a mail server answered may name the address.
            db.execute("UPDATE delivery SET reply = '' WHERE subscriber_id = ?", (subscriber_id,))
            db.execute("UPDATE returned SET said = '' WHERE subscriber_id = ?", (subscriber_id,))
            db.execute(
                "UPDATE delivery SET state = 'cancelled', reply = 'the subscriber was erased', updated = ?"
                f" WHERE ({_UNSENT}) AND subscriber_id = ?",
                (_ms(now), subscriber_id),
            )
            return db.execute("DELETE FROM subscriber WHERE id = ?", (subscriber_id,)).rowcount == 1

        is_known = await self._write(work)
        # What was erased is not to be read in the log of writes either.
        await self._run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        return is_known

    async def consents(self, subscriber_id: int) -> list[Consent]:
        rows = await self._run(
            lambda db: db.execute(
                "SELECT at, state, how FROM consent WHERE subscriber_id = ? ORDER BY at, rowid", (subscriber_id,)
            ).fetchall()
        )
        return [Consent(_instant(row["at"]), State(row["state"]), row["how"]) for row in rows]

    async def subscribers(self) -> list[Subscriber]:
        return await self._run(lambda db: _subscribers(db, "ORDER BY s.comparable"))

    async def subscriber_of(self, subscriber_id: int) -> Subscriber | None:
        return await self._run(lambda db: _subscriber(db, subscriber_id))

    async def subscriber(self, address: str) -> Subscriber | None:
        found = await self._run(lambda db: _subscribers(db, "WHERE s.comparable = ?", comparable(address)))
        return next(iter(found), None)

    async def deliveries(self, subscriber_id: int) -> list[Delivery]:
        return await self._run(
            lambda db: _deliveries(db, "WHERE d.subscriber_id = ? ORDER BY n.at, n.id", subscriber_id)
        )

    async def documents(self) -> dict[str, tuple[str, datetime]]:
        rows = await self._run(lambda db: db.execute("SELECT * FROM document").fetchall())
        return {row["name"]: (row["etag"], _instant(row["modified"])) for row in rows}

    async def publish(self, documents: Mapping[str, tuple[str, datetime]]) -> None:
        rows = [(name, etag, _ms(modified)) for name, (etag, modified) in documents.items()]
        await self._write(lambda db: db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", rows))

    async def counts(self, notices: Sequence[Notice], seminar: Seminar) -> list[int]:
        sessions = {session.id: session for session in seminar.sessions}
        whom = [_recipients(notice, sessions[notice.session_id], _ms(notice.due)) for notice in notices]
        return await self._run(
            lambda db: [db.execute(f"SELECT count(*) FROM ({_RECIPIENTS})", one).fetchone()[0] for one in whom]
        )

    async def progress(self) -> list[Progress]:
        return await self._recall("progress", _progress)

    async def summary(self, now: datetime) -> Summary:
        return await self._run(lambda db: _summary(db, _ms(now)))

    async def review(self, notices: int) -> Review:
        return await self._run(lambda db: _review(db, notices))

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


# What is deleted is overwritten: who is erased is not to be read in the file's free pages.
_DURABLE = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA secure_delete = ON;
"""


def _connect(path: str | Path, read_only: bool) -> sqlite3.Connection:
    if read_only:
        db = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    else:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.executescript("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")
    if not read_only:
        db.executescript(_DURABLE)
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreError(Problem("the store is damaged", "restore a backup", str(path)))
    _migrate(db, path, read_only)
    if not read_only:
        db.executescript(_WATCH)
    return db


def _migrate(db: sqlite3.Connection, path: str | Path, read_only: bool) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            Problem(
                f"the store is of a newer version ({version} > {SCHEMA_VERSION})",
                "update notifier",
                str(path),
            )
        )
    if version < SCHEMA_VERSION and read_only and version:
        raise StoreError(
            Problem(f"the store is of an older version ({version} < {SCHEMA_VERSION})", "start the daemon", str(path))
        )
    if version < SCHEMA_VERSION and not read_only:
        # Whoever drops a table that others refer to, to make it anew, empties those others too where keys are watched.
        db.execute("PRAGMA foreign_keys = OFF")
        steps = " ".join(_SCHEMAS[version:])
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        db.execute("PRAGMA foreign_keys = ON")


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def _fact(db: sqlite3.Connection, name: str, default: str = "") -> str:
    row = db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return default if row is None else str(row["value"])


_WELCOMED = """
    SELECT session_id, snapshot, min(id) FROM notice
    WHERE session_id BETWEEN '@' AND 'A' AND session_id <> '@' AND rule = 'welcome' GROUP BY session_id
"""


def _facts(db: sqlite3.Connection) -> Facts:
    settled: dict[str, list[Settled]] = {}
    told: dict[str, str] = {}
    for row in db.execute("SELECT * FROM notice WHERE session_id NOT BETWEEN '@' AND 'A' ORDER BY id"):
        fact = Settled(
            Kind(row["kind"]),
            row["rule"],
            row["generation"],
            Verdict(row["verdict"]),
            _instant(row["at"]),
            row["reached"],
            row["reason"],
        )
        settled.setdefault(row["session_id"], []).append(fact)
        if fact.verdict is Verdict.OPEN:
            told[row["session_id"]] = row["snapshot"]
    reached = {session_id for session_id, facts in settled.items() if any(fact.reached for fact in facts)}
    # Where no notice reached anybody yet, those who were welcomed know the session as the first of them was told.
    for row in db.execute(_WELCOMED):
        if (session_id := row["session_id"].removeprefix(BESIDE)) not in reached:
            told[session_id] = row["snapshot"]
            reached.add(session_id)
    return Facts(
        baseline=_instant(int(_fact(db, "baseline", _NEVER))),
        rules={row["name"]: _instant(row["first_seen"]) for row in db.execute("SELECT * FROM rule")},
        settled={session_id: tuple(facts) for session_id, facts in settled.items()},
        told={session_id: _session(text) for session_id, text in told.items() if session_id in reached},
        leads=frozenset(timedelta(seconds=row[0]) for row in db.execute("SELECT DISTINCT seconds FROM lead")),
        approved=dict(_approvals(db)),
    )


def _approvals(db: sqlite3.Connection) -> Iterator[tuple[Key, datetime]]:
    rows = db.execute("SELECT name, value FROM fact WHERE name BETWEEN ? AND ?", (APPROVAL, APPROVAL + "~"))
    for row in rows:
        session_id, rule, generation = row["name"].removeprefix(APPROVAL).rsplit("/", 2)
        yield (session_id, rule, int(generation)), datetime.fromisoformat(row["value"])


def _accepted(db: sqlite3.Connection) -> Accepted | None:
    row = db.execute("SELECT seminar, text, source, at FROM accepted").fetchone()
    if row is None:
        return None
    sessions = [json.loads(listed["document"]) for listed in db.execute("SELECT document FROM listed")]
    seminar = talks.from_json({"seminar": json.loads(row["seminar"]), "sessions": sessions})
    return Accepted(seminar, row["text"], row["source"], _instant(row["at"]))


def _accept(db: sqlite3.Connection, accepted: Accepted, changed: Iterable[Session]) -> None:
    head = _json(talks.as_json(replace(accepted.seminar, sessions=()))["seminar"])
    values = (head, accepted.text, accepted.source, _ms(accepted.at))
    db.execute("INSERT OR REPLACE INTO accepted VALUES (1, ?, ?, ?, ?)", values)
    present = json.dumps([session.id for session in accepted.seminar.sessions])
    db.execute("DELETE FROM listed WHERE session_id NOT IN (SELECT value FROM json_each(?))", (present,))
    documents = ((session.id, _json(talks.session_as_json(session))) for session in changed)
    db.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", documents)
    db.execute(
        "UPDATE delivery SET state = 'cancelled', reply = 'the session was taken off the list', updated = ?"
        f" WHERE ({_UNSENT}) AND notice_id IN"
        " (SELECT id FROM notice WHERE session_id NOT IN (SELECT value FROM json_each(?))"
        " AND session_id NOT BETWEEN '@' AND 'A')",
        (_ms(accepted.at), present),
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _snapshot(session: Session) -> str:
    # A session alone is told as a seminar of one, so that there is one way to write it and one to read it back.
    return _json(talks.as_json(Seminar("_", "_", session.timezone, sessions=(session,))))


@lru_cache(64)  # everyone's claim of one notice holds the same
def _session(text: str) -> Session:
    return talks.from_json(json.loads(text)).sessions[0]


def _recipients(notice: Notice, session: Session, at: int) -> dict[str, Any]:
    whom: Recipients = notice.recipients
    return {
        "at": at,
        "about": searchable(session),
        "everyone": whom.everyone,
        "by_default": whom.by_default,
        "leads": json.dumps(sorted(int(lead.total_seconds()) for lead in whom.leads)),
        "told": whom.told,
        "session_id": notice.session_id,
    }


def _settle(db: sqlite3.Connection, decision: Decision, session: Session, at: int) -> int:
    notice = decision.notice
    made = db.execute(
        "INSERT OR IGNORE INTO notice (session_id, kind, rule, generation, due, deadline, lead, verdict, reason, at,"
        " snapshot, before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *notice.key[:1], notice.kind, notice.rule, notice.generation, _ms(notice.due), _ms(notice.deadline),
            int(notice.lead.total_seconds()) if notice.lead is not None else None,
            decision.verdict, decision.reason, at, _snapshot(session),
            _snapshot(decision.before) if decision.before else None,
        ),
    )  # fmt: skip
    if made.rowcount == 0 or decision.verdict is not Verdict.OPEN:
        return 0
    notice_id = made.lastrowid
    values = {**_recipients(notice, session, at), "notice_id": notice_id}
    reached = db.execute(
        "INSERT INTO delivery (notice_id, subscriber_id, state, not_before, updated)"
        f" SELECT :notice_id, id, 'queued', :at, :at FROM ({_RECIPIENTS})",
        values,
    ).rowcount
    db.execute("UPDATE notice SET reached = ? WHERE id = ?", (reached, notice_id))
    if notice.recipients.told:
        db.execute(
            "UPDATE delivery SET state = 'cancelled', reply = 'told by the change mail instead', updated = :at"
            f" WHERE ({_UNSENT}) AND notice_id <> :notice_id"
            " AND notice_id IN (SELECT id FROM notice WHERE session_id = :session_id)",
            values,
        )
    return reached


# Of those who asked for a subscription each has a notice of their own. Of more of them than are wanted so many are
# looked at, because who left since has nothing to be claimed until the next tick has cleared it away.
_IDLE_NOTICES = 100
_OPEN = f"""
    SELECT * FROM notice n
    WHERE n.deadline > :now AND iif(n.kind = 'welcome', substr(n.session_id, 2), n.session_id) NOT IN
          (SELECT value FROM json_each(:paused))
      AND EXISTS (SELECT 1 FROM delivery d WHERE d.notice_id = n.id
                  AND d.{_OPEN_STATES} AND d.state <> 'claimed' AND d.not_before <= :now)
    ORDER BY n.session_id NOT BETWEEN '@' AND 'A', n.deadline, n.id LIMIT :limit + {_IDLE_NOTICES}
"""
_CLAIMED = (
    "attempts", "resends", "lane", "is_resend", "id", "address", "name", "language", "timezone", "leads", "state",
    "declined", "words", "paused_until", "reason", "series", "changed",
)  # fmt: skip
_FIELDS = ", ".join(f"'{name}', {name}" for name in _CLAIMED)
# CROSS JOIN, so that the people are looked up in the order of the index, and no more of them than are wanted.
_OWED_OF_NOTICE = f"""
    SELECT json_group_array(json_object({_FIELDS})) FROM (
        SELECT d.attempts, d.resends, d.lane, d.state = 'ambiguous' AS is_resend, {_SUBSCRIBER}
        FROM notice n CROSS JOIN delivery d ON d.notice_id = n.id CROSS JOIN subscriber s ON s.id = d.subscriber_id
        WHERE n.id = ? AND d.{_OPEN_STATES} AND d.state <> 'claimed' AND d.not_before <= ? AND {_IS_ADDRESSED}
        ORDER BY d.not_before, d.subscriber_id LIMIT ?
    )
"""


def _claim(db: sqlite3.Connection, limit: int, now: int, paused: str) -> list[Claim]:
    claims: list[Claim] = []
    for notice in db.execute(_OPEN, {"now": now, "paused": paused, "limit": limit}).fetchall():
        (told,) = db.execute(_OWED_OF_NOTICE, (notice["id"], now, limit - len(claims))).fetchone()
        rows = json.loads(told)
        db.execute(_TAKE, {"rows": json.dumps([(notice["id"], row["id"]) for row in rows]), "now": now})
        claims += _claims_of(notice, rows)
        if len(claims) == limit:
            break
    return claims


def _claims_of(row: sqlite3.Row, people: Iterable[Mapping[str, Any]]) -> list[Claim]:
    notice, at = _notice(row), _instant(row["at"])
    session, before = (_session(row[name]) if row[name] else None for name in ("snapshot", "before"))
    return [
        Claim(
            row["id"],
            notice,
            _subscriber_of(one),
            at,
            session,
            one["attempts"],
            bool(one["is_resend"]),
            before,
            one["resends"] + one["is_resend"],
            one["lane"],
        )
        for one in people
    ]


def _notice(row: sqlite3.Row) -> Notice:
    lead = timedelta(seconds=row["lead"]) if row["lead"] is not None else None
    due, deadline = _instant(row["due"]), _instant(row["deadline"])
    return Notice(row["session_id"], Kind(row["kind"]), row["rule"], row["generation"], due, deadline, lead)


def _may_be_tried(result: Result, *, resend: bool) -> bool:
    if result.state is DeliveryState.AMBIGUOUS:
        return resend and (result.claim.resends < RESENDS or not result.counts)
    return result.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED)


def _subscribe(db: sqlite3.Connection, one: Subscriber, at: int, how: str, *, brings_back: bool = True) -> bool:
    key = comparable(one.address)
    known = db.execute("SELECT id, state, reason FROM subscriber WHERE comparable = ?", (key,)).fetchone()
    if known and not brings_back and known["state"] in (State.UNSUBSCRIBED, State.BLOCKED):
        one = replace(one, state=State(known["state"]), reason=known["reason"])
    if known is None:
        made = db.execute(
            "INSERT INTO subscriber (comparable, address, name, language, timezone, state, created, changed)"
            " VALUES (?, '', '', '', '', '', ?, ?)",
            (key, at, at),
        )
        _keep(db, replace(one, id=made.lastrowid or 0), at, how)
    else:
        _keep(db, replace(one, id=known["id"]), at, how)
    return known is None


def _keep(db: sqlite3.Connection, one: Subscriber, at: int, how: str) -> None:
    """Writes down everything of a subscriber who has a row; a new state also as a consent."""
    before = db.execute("SELECT state FROM subscriber WHERE id = ?", (one.id,)).fetchone()["state"]
    db.execute(
        "UPDATE subscriber SET address = :address, name = :name, language = :language, timezone = :timezone,"
        " state = :state, reason = :reason, declined = :declined, words = :words, paused_until = :paused_until,"
        " changed = iif(state = :state, changed, :at) WHERE id = :id",
        {
            "address": one.address, "name": one.name, "language": one.language, "timezone": one.timezone,
            "state": one.state, "reason": one.reason, "declined": _json(sorted(one.declined)),
            "words": _json(one.words), "paused_until": _ms(one.paused_until) if one.paused_until else None,
            "at": at, "id": one.id,
        },
    )  # fmt: skip
    db.execute("DELETE FROM lead WHERE subscriber_id = ?", (one.id,))
    seconds = sorted({int(lead.total_seconds()) for lead in one.leads or ()})
    db.executemany("INSERT INTO lead VALUES (?, ?)", [(one.id, s) for s in seconds])
    if before != one.state:
        db.execute("INSERT INTO consent VALUES (?, ?, ?, ?)", (one.id, at, one.state, how))


_GRAVITY = {Meaning.DELAYED: 1, Meaning.SOFT: 2, Meaning.HARD: 3, Meaning.COMPLAINT: 4}


def _come_back(
    db: sqlite3.Connection, returned: Returned, at: int, limit: int, since: int
) -> tuple[bool, Subscriber | None]:
    session_id, rule, generation = returned.notice
    row = db.execute(
        "SELECT n.id, r.meaning FROM notice n JOIN delivery d ON d.notice_id = n.id AND d.subscriber_id = :subscriber"
        " LEFT JOIN returned r ON r.notice_id = n.id AND r.subscriber_id = :subscriber"
        " WHERE n.session_id = :session_id AND n.rule = :rule AND n.generation = :generation",
        {"subscriber": returned.subscriber_id, "session_id": session_id, "rule": rule, "generation": generation},
    ).fetchone()
    if row is None or (row["meaning"] and _GRAVITY[Meaning(row["meaning"])] >= _GRAVITY[returned.meaning]):
        return False, None
    values = (row["id"], returned.subscriber_id, returned.meaning, returned.said, at)
    db.execute("INSERT OR REPLACE INTO returned VALUES (?, ?, ?, ?, ?)", values)
    if returned.meaning is Meaning.HARD:
        return True, _block_dead(db, returned.subscriber_id, returned.said, at, "returned mail")
    reason = _reason_to_block(db, returned, limit, since)
    return True, _block(db, returned.subscriber_id, reason, at, "returned mail") if reason else None


def _reason_to_block(db: sqlite3.Connection, returned: Returned, limit: int, since: int) -> str:
    match returned.meaning:
        case Meaning.COMPLAINT:
            return f"they complained: {returned.said}"
        case Meaning.SOFT:
            # What came back before a person restored them was forgiven.
            count = db.execute(
                "SELECT count(*) FROM returned r JOIN subscriber s ON s.id = r.subscriber_id"
                " WHERE s.id = ? AND r.meaning = 'soft' AND r.at >= max(?, s.changed)",
                (returned.subscriber_id, since),
            ).fetchone()[0]
            return f"{count} mails came back, the last one because: {returned.said}" if count >= limit else ""
    return ""


# A server that is at fault itself may call every mailbox dead; a large provider once did for hours. So many, or a tenth
# of all, are believed within a day. What is said of others is noted, and believed when their next mail returns.
_FEW_DEAD, _DEAD_PART = 20, 10
_DAY = 86_400_000


def _block_dead(db: sqlite3.Connection, subscriber_id: int, said: str, at: int, how: str) -> Subscriber | None:
    """Whom it blocked; None where there was no mail to stop, or too many are said to be dead at once."""
    today = "SELECT count(*) FROM consent WHERE state = 'blocked' AND at > ?"
    people = db.execute("SELECT count(*) FROM subscriber").fetchone()[0]
    if db.execute(today, (at - _DAY,)).fetchone()[0] >= max(_FEW_DEAD, people // _DEAD_PART):
        return None
    return _block(db, subscriber_id, f"there is no such mailbox: {said}", at, how)


def _block(db: sqlite3.Connection, subscriber_id: int, reason: str, at: int, how: str) -> Subscriber | None:
    """Whom it blocked; None where there was no mail to stop."""
    known = _subscriber(db, subscriber_id)
    if known is None or known.state is not State.CONFIRMED:
        return None
    return _set_state(db, subscriber_id, State.BLOCKED, at, how, reason)


def _asked(db: sqlite3.Connection, one: Subscriber, at: int) -> Subscriber:
    """The subscriber at an address for which somebody asks; who never confirmed is as the last one who asked said."""
    key = comparable(one.address)
    known = next(iter(_subscribers(db, "WHERE s.comparable = ?", key)), None)
    if known is None or known.state is State.UNCONFIRMED:
        _subscribe(db, replace(one, state=State.UNCONFIRMED), at, "form")
        db.execute("UPDATE subscriber SET changed = ? WHERE comparable = ?", (at, key))
    return known or _subscribers(db, "WHERE s.comparable = ?", key)[0]


_MAILS_OF_SUBSCRIPTIONS = "SELECT count(*) FROM notice WHERE session_id BETWEEN '@' AND 'A' AND at > ?"


def _mails_since(db: sqlite3.Connection, subscriber_id: int, since: datetime) -> int:
    """How many mails about their subscription were opened for them since then."""
    count: int = db.execute(
        "SELECT count(*) FROM delivery d JOIN notice n ON n.id = d.notice_id"
        " WHERE d.subscriber_id = ? AND n.session_id BETWEEN '@' AND 'A' AND n.at > ?",
        (subscriber_id, _ms(since)),
    ).fetchone()[0]
    return count


def _open_for(db: sqlite3.Connection, kind: Kind, subscriber_id: int, session: Session | None, now: datetime) -> None:
    """Opens a notice about a subscription, and the one delivery of it."""
    at, deadline = _ms(now), _ms(now + DAY)
    made = db.execute(
        "INSERT INTO notice (session_id, kind, rule, generation, due, deadline, verdict, reason, at, snapshot, reached)"
        " VALUES (:session, :kind, :kind, (SELECT coalesce(max(generation), 0) + 1 FROM notice"
        " WHERE session_id = :session AND rule = :kind), :at, :deadline, 'open', '', :at, :snapshot, 1)",
        {
            "session": BESIDE + (session.id if session else ""), "kind": kind, "at": at, "deadline": deadline,
            "snapshot": _snapshot(session) if session else "",
        },
    )  # fmt: skip
    db.execute(
        "INSERT INTO delivery (notice_id, subscriber_id, state, not_before, updated) VALUES (?, ?, 'queued', ?, ?)",
        (made.lastrowid, subscriber_id, at, at),
    )


def _set_state(
    db: sqlite3.Connection, subscriber_id: int, state: State, at: int, how: str, reason: str = ""
) -> Subscriber | None:
    known = _subscriber(db, subscriber_id)
    if known is None or not known.state.may_become(state):
        return known
    _keep(db, replace(known, state=state, reason=reason), at, how)
    return _subscriber(db, subscriber_id)


def _subscriber(db: sqlite3.Connection, subscriber_id: int) -> Subscriber | None:
    return next(iter(_subscribers(db, "WHERE s.id = ?", subscriber_id)), None)


def _subscribers(db: sqlite3.Connection, clause: str, *values: object) -> list[Subscriber]:
    return [_subscriber_of(row) for row in db.execute(f"SELECT {_SUBSCRIBER} FROM subscriber s {clause}", values)]


def _subscriber_of(row: sqlite3.Row | Mapping[str, Any]) -> Subscriber:
    return Subscriber(
        row["address"],
        row["name"],
        row["language"],
        row["timezone"],
        _leads(row["leads"]),
        State(row["state"]),
        row["id"],
        _kinds(row["declined"]),
        _texts(row["words"]),
        _instant(row["paused_until"]) if row["paused_until"] is not None else None,
        row["reason"],
        row["series"],
        _instant(row["changed"]),
    )


@lru_cache(64)
def _kinds(text: str) -> frozenset[Kind]:
    return frozenset(map(Kind, json.loads(text)))


@lru_cache(64)
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _leads(text: str | None) -> tuple[timedelta, ...] | None:
    if text is None:
        return None
    return tuple(timedelta(seconds=s) for s in sorted(map(int, text.split(",")), reverse=True))


def _deliveries(db: sqlite3.Connection, clause: str, *values: object) -> list[Delivery]:
    rows = db.execute(
        "SELECT d.*, n.*, d.updated AS updated, coalesce(s.address, '') AS address, r.meaning, r.said FROM delivery d"
        " JOIN notice n ON n.id = d.notice_id LEFT JOIN subscriber s ON s.id = d.subscriber_id"
        " LEFT JOIN returned r ON r.notice_id = d.notice_id AND r.subscriber_id = d.subscriber_id " + clause,
        values,
    )
    return [
        Delivery(
            _notice(row), row["subscriber_id"], row["address"], DeliveryState(row["state"]), row["attempts"],
            _instant(row["at"]), _instant(row["updated"]), row["reply"],
            Meaning(row["meaning"]) if row["meaning"] else None, row["said"] or "",
            row["state"] == DeliveryState.AMBIGUOUS and row["not_before"] is None,
        )
        for row in rows
    ]  # fmt: skip


_RUNNING = """
    SELECT n.*, d.state, count(*) AS count FROM delivery d JOIN notice n ON n.id = d.notice_id
    WHERE d.notice_id IN (
        SELECT notice_id FROM delivery WHERE state IN ('queued', 'deferred', 'ambiguous') AND not_before IS NOT NULL
        UNION SELECT notice_id FROM delivery WHERE state IN ('claimed', 'in-flight'))
    GROUP BY n.id, d.state ORDER BY n.deadline, n.id
"""


def _progress(db: sqlite3.Connection) -> list[Progress]:
    rows = groupby(db.execute(_RUNNING), lambda row: _notice(row))
    return [Progress(notice, {row["state"]: row["count"] for row in states}) for notice, states in rows]


def _summary(db: sqlite3.Connection, now: int) -> Summary:
    def counted(table: str) -> dict[str, int]:
        return {
            row[0]: row[1] for row in db.execute(f"SELECT state, count(*) FROM {table} GROUP BY state ORDER BY state")
        }

    overdue = db.execute(
        "SELECT count(*) FROM delivery d JOIN notice n ON n.id = d.notice_id"
        " WHERE d.state IN ('queued', 'claimed', 'deferred') AND n.due <= ?",
        (now,),
    ).fetchone()[0]
    errors = _deliveries(
        db, "WHERE d.state IN ('failed', 'ambiguous', 'expired', 'deferred') ORDER BY d.updated DESC LIMIT 5"
    )
    blocked = _subscribers(db, "WHERE s.state = 'blocked' AND s.reason <> '' ORDER BY s.changed DESC LIMIT 5")
    returned = db.execute("SELECT meaning, count(*) FROM returned GROUP BY meaning ORDER BY meaning")
    doubted = db.execute(
        "SELECT count(DISTINCT r.subscriber_id) FROM returned r JOIN subscriber s ON s.id = r.subscriber_id"
        " WHERE r.meaning = 'hard' AND s.state = 'confirmed' AND r.at >= s.changed"
    ).fetchone()[0]
    came_back = {row[0]: row[1] for row in returned}
    undecided = db.execute(
        f"SELECT count(*) FROM delivery WHERE {_UNDECIDED} AND notice_id IN (SELECT id FROM notice WHERE deadline > ?)",
        (now,),
    ).fetchone()[0]
    return Summary(counted("delivery"), counted("subscriber"), overdue, errors, blocked, came_back, doubted, undecided)


_LATEST = """(
    SELECT * FROM notice WHERE verdict = 'open' AND session_id NOT BETWEEN '@' AND 'A' ORDER BY id DESC LIMIT ?
)"""
_TALLY = f"""
    SELECT n.session_id, d.state, count(*) AS count FROM delivery d JOIN {_LATEST} n ON n.id = d.notice_id
    GROUP BY n.session_id, d.state ORDER BY max(n.id) DESC, d.state
"""
_PUNCTUAL = f"""
    SELECT n.*, count(*) AS sent, max(d.updated) AS last FROM delivery d JOIN {_LATEST} n ON n.id = d.notice_id
    WHERE d.state = 'sent' GROUP BY n.id ORDER BY n.id DESC
"""
_HALF = "SELECT updated FROM delivery WHERE notice_id = ? AND state = 'sent' ORDER BY updated LIMIT 1 OFFSET ?"
_STEPS = """
    SELECT at / 86400000 AS day, sum((state = 'confirmed') - (coalesce(before, '') = 'confirmed')) AS more FROM (
        SELECT at, state, lag(state) OVER (PARTITION BY subscriber_id ORDER BY at, rowid) AS before FROM consent)
    GROUP BY day ORDER BY day
"""
_LOST = f"""
    WHERE d.notice_id IN (SELECT id FROM {_LATEST}) AND (r.meaning IS NOT NULL OR d.state IN ('failed', 'expired'))
    ORDER BY d.updated DESC LIMIT 20
"""


def _review(db: sqlite3.Connection, notices: int) -> Review:
    tally: dict[str, dict[str, int]] = {}
    for row in db.execute(_TALLY, (notices,)):
        tally.setdefault(row["session_id"], {})[row["state"]] = row["count"]
    punctuality = [_punctuality(db, row) for row in db.execute(_PUNCTUAL, (notices,)).fetchall()]
    return Review(tally, punctuality, _growth(db), _deliveries(db, _LOST, notices))


def _punctuality(db: sqlite3.Connection, row: sqlite3.Row) -> Punctuality:
    half = db.execute(_HALF, (row["id"], (row["sent"] - 1) // 2)).fetchone()[0]
    after = (timedelta(milliseconds=max(0, at - row["due"])) for at in (half, row["last"]))
    return Punctuality(_notice(row), row["sent"], *after)


def _growth(db: sqlite3.Connection) -> list[tuple[datetime, int]]:
    """The number at the end of each day on which it changed, counted back from today's, since some were forgotten."""
    steps = db.execute(_STEPS).fetchall()
    total = db.execute("SELECT count(*) FROM subscriber WHERE state = 'confirmed'").fetchone()[0]
    total -= sum(row["more"] for row in steps)
    growth = []
    for row in steps:
        total += row["more"]
        growth.append((_instant((row["day"] + 1) * 86400000), total))
    return growth
