"""A store ↔ one file that it can be put back from; what was done since is carried over from the store of until then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from notifier.errors import Problem, SourceError, StoreError
from notifier.stores import BACKUP, HIGH_WATER, USED_UNTIL
from notifier.stores.sqlite import past, people
from notifier.stores.sqlite.rows import ms
from notifier.stores.sqlite.schema import SCHEMA_VERSION, connect, migrate

Step = Callable[[int, int], None]  # told how much is done, and of how much

_PAGES = 256  # a megabyte: often enough to show how far it is
_OURS = {"fact", "accepted", "session", "subscriber", "notice", "delivery"}  # in the stores of every version
_OF_ONE_COPY = ("hold", BACKUP, USED_UNTIL)  # what no other copy takes over


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds, in numbers, and when this copy of it was made, where it is one."""

    subscribers: int
    sessions: int
    deliveries: int
    taken_at: str


@dataclass(frozen=True, slots=True)
class Carried:
    """What was carried over: who left, was blocked or erased since the copy was made, and whose links were revoked.

    Of `sent` mails the copy did not know. Of `joined` people it still knows nothing. `lost` says what of all this could
    not be read. Of mail until `used_until` even the store that it was carried over from knew nothing.
    """

    unsubscribed: int = 0
    blocked: int = 0
    erased: int = 0
    revoked: int = 0
    sent: int = 0
    joined: int = 0
    lost: tuple[str, ...] = ()
    used_until: str = ""


def copy(source: Path, target: Path, step: Step = lambda done, total: None) -> None:
    """Fills the target with all that the store holds at this moment, also while another process writes it.

    Raises:
        sqlite3.Error: the source is damaged, or the disk of the target is full.
    """
    with closing(_reading(source)) as db, closing(sqlite3.connect(target, isolation_level=None)) as made:
        # As long as this reads, nothing of what it reads is overwritten, and the copy begins anew for no write.
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        made.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")  # it is kept whole or not at all
        db.backup(made, pages=_PAGES, progress=lambda _, left, total: step(total - left, total), sleep=0)
        made.execute("PRAGMA journal_mode = DELETE")  # one file, with no log of writes beside it


def inspect(path: Path) -> Held:
    """What the store in this file holds.

    Raises:
        SourceError: it is none of ours, damaged, or of a newer version of the program.
    """
    try:
        with closing(_reading(path)) as db:
            if fault := _unfit(db):
                raise SourceError(replace(fault, source=str(path)))
            subscribers, sessions, deliveries = db.execute(_COUNTS).fetchone()
            facts = past.small_facts(db)
            return Held(subscribers, sessions, deliveries, facts.get(BACKUP) or facts.get(HIGH_WATER, ""))
    except sqlite3.Error as error:
        told = Problem(f"it cannot be read as a store: {error}", "name a file that notifier backup made", str(path))
        raise SourceError(told) from error


_COUNTS = "SELECT (SELECT count(*) FROM subscriber), (SELECT count(*) FROM session), (SELECT count(*) FROM delivery)"


def _unfit(db: sqlite3.Connection) -> Problem | None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == 0 or not tables >= _OURS:
        return Problem("this is no store of ours", "name a file that notifier backup made")
    if version > SCHEMA_VERSION:
        return Problem(f"the store is of a newer version ({version} > {SCHEMA_VERSION})", "update notifier")
    faults = damage(db)
    return Problem(f"it is damaged: {faults[0]}", "name another backup") if faults else None


def is_readable(path: Path) -> bool:
    """Whether SQLite can read what is in the file at all."""
    try:
        with closing(_reading(path)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def fold(path: Path) -> None:
    """Puts what is in the log of writes beside the store into its file. Raises sqlite3.Error while another reads it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


def damage(db: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with a file, and the rows that refer to others which are not there."""
    try:
        faults = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:  # worse than it can tell by row
        if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
            raise
        faults = [str(error)]
    return faults or [f"a row of {row[0]} refers to no {row[2]}" for row in db.execute("PRAGMA foreign_key_check")]


def note(path: Path, facts: Mapping[str, str], now: datetime) -> None:
    """Keeps these facts in a copy, and has it give nobody a number that the store may have given since.

    By their number people are known in the links of their mails, and it must never be somebody else's.
    """
    with closing(_writing(path)) as db, _transaction(db):
        past.note(db, facts)
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
            return  # of the first version, which must be brought to this one before it is used
        last = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'subscriber'").fetchone()[0]
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'subscriber'")
        # The seconds since 1970, since no list grows by more than one person a second from one copy to the next.
        db.execute("INSERT INTO sqlite_sequence VALUES ('subscriber', ?)", (max(last, int(now.timestamp())),))


def bring_up(path: Path) -> None:
    """Makes of a copy a store of this version. Raises StoreError, or sqlite3.Error where there is no room for it."""
    connect(path, read_only=False).close()


def carry_over(path: Path, old: Path, now: datetime) -> Carried:
    """Carries over into a copy what was done since with the store that it is of, which `old` is a copy of.

    That is what the world has seen: mail that was sent, revisions that calendars know, keys and revoked links; and who
    left. Everything else about people stays as the copy has it.

    Raises:
        StoreError: nothing can be, because `old` is of another store, or of a newer version.
        sqlite3.Error: `old` cannot be read at all.
    """
    with closing(_writing(old)) as db:
        migrate(db, old, read_only=False)
        faults = damage(db)
        used_until = past.small_facts(db).get(USED_UNTIL, "")
    told: dict[str, int] = {}
    lost = [f"some of it may be missing: {faults[0]}"] if faults else []
    with closing(_writing(path)) as db:
        db.execute("ATTACH ? AS old", (str(old),))
        if _baseline(db, "main") != (_baseline(db, "old") or ""):
            raise StoreError("it is another seminar's, or the backup is from before it was in use")
        for what, part in _PARTS.items():
            try:
                with _transaction(db):
                    told |= part(db, ms(now))
            except sqlite3.DatabaseError as error:
                lost.append(f"{what}: {error}")
    return Carried(**told, lost=tuple(lost), used_until=used_until)


def _baseline(db: sqlite3.Connection, schema: str) -> str | None:
    row = db.execute(f"SELECT value FROM {schema}.fact WHERE name = 'baseline'").fetchone()
    return row[0] if row else None


def _revisions(db: sqlite3.Connection, at: int) -> dict[str, int]:
    db.execute(
        "INSERT OR REPLACE INTO main.session SELECT o.* FROM old.session o LEFT JOIN main.session s ON s.id = o.id"
        " WHERE s.id IS NULL OR (o.revision, o.modified) > (s.revision, s.modified)"
    )
    db.execute(
        "INSERT OR REPLACE INTO main.document SELECT o.* FROM old.document o LEFT JOIN main.document d"
        " ON d.name = o.name WHERE d.name IS NULL OR o.modified > d.modified"
    )
    if db.execute(
        "INSERT OR REPLACE INTO main.accepted SELECT o.* FROM old.accepted o"
        " WHERE o.at > (SELECT coalesce(max(at), 0) FROM main.accepted)"
    ).rowcount:
        db.execute("DELETE FROM main.listed")
        db.execute("INSERT INTO main.listed SELECT * FROM old.listed")
    db.execute(
        "INSERT OR REPLACE INTO main.fact SELECT * FROM old.fact"
        f" WHERE name NOT IN ({', '.join('?' * len(_OF_ONE_COPY))})",
        _OF_ONE_COPY,
    )
    return {}


_NOTICE = "session_id, kind, rule, generation, due, deadline, lead, verdict, reason, at, snapshot, before, reached"


def _ledger(db: sqlite3.Connection, at: int) -> dict[str, int]:
    before = _sent(db)
    db.execute("INSERT OR IGNORE INTO main.rule SELECT * FROM old.rule")
    db.execute(
        f"INSERT INTO main.notice ({_NOTICE}) SELECT {_NOTICE} FROM old.notice o WHERE NOT EXISTS (SELECT 1 FROM"
        " main.notice n WHERE (n.session_id, n.rule, n.generation) = (o.session_id, o.rule, o.generation)) ORDER BY id"
    )
    db.execute(
        "CREATE TEMP TABLE twin AS SELECT o.id AS there, n.id AS here FROM old.notice o"
        " JOIN main.notice n USING (session_id, rule, generation)"
    )
    db.execute(
        "INSERT INTO main.delivery (notice_id, subscriber_id, state, attempts, resends, not_before, code, reply,"
        " updated, lane) SELECT here, subscriber_id, state, attempts, resends, not_before, code, reply, updated, lane"
        " FROM old.delivery JOIN twin ON there = notice_id WHERE TRUE ON CONFLICT DO UPDATE SET state = excluded.state,"
        " attempts = excluded.attempts, resends = excluded.resends, not_before = excluded.not_before,"
        " code = excluded.code, reply = excluded.reply, updated = excluded.updated, lane = excluded.lane"
        " WHERE excluded.updated >= delivery.updated"
    )
    db.execute(
        "INSERT OR REPLACE INTO main.returned SELECT here, subscriber_id, meaning, said, at FROM old.returned"
        " JOIN twin ON there = notice_id"
    )
    db.execute(
        "UPDATE main.notice SET reached = (SELECT count(*) FROM main.delivery d WHERE d.notice_id = notice.id)"
        " WHERE verdict = 'open'"
    )
    # Counted anew when the daemon looks next.
    db.execute("UPDATE main.notice SET is_tallied = FALSE")
    db.execute("DELETE FROM main.tally")
    return {"sent": _sent(db) - before}


def _sent(db: sqlite3.Connection) -> int:
    count: int = db.execute("SELECT count(*) FROM main.delivery WHERE state = 'sent'").fetchone()[0]
    return count


_LEFT = """
    SELECT o.id, o.state, o.reason, o.changed FROM old.subscriber o JOIN main.subscriber s ON s.id = o.id
    WHERE o.state IN ('unsubscribed', 'blocked') AND o.state <> s.state AND o.changed >= s.changed
"""
# Whom the older store lost when it was itself put back from a copy, it has not forgotten but never known.
_ERASED = f"""
    SELECT id FROM main.subscriber WHERE id NOT IN (SELECT id FROM old.subscriber) AND created <= coalesce((
        SELECT 1000 + 1000 * CAST(strftime('%s', value) AS INTEGER) FROM old.fact
        WHERE name = '{BACKUP}' AND value <> ''), created)
"""


def _people(db: sqlite3.Connection, at: int) -> dict[str, int]:
    left = db.execute(_LEFT).fetchall()
    db.executemany("UPDATE main.subscriber SET state = ?, reason = ?, changed = ? WHERE id = ?", [
        (row["state"], row["reason"], row["changed"], row["id"]) for row in left
    ])  # fmt: skip
    erased = [row["id"] for row in db.execute(_ERASED)]
    for subscriber_id in erased:
        people.erase(db, subscriber_id, at)
    revoked = db.execute(
        "UPDATE main.subscriber SET series = o.series FROM old.subscriber o"
        " WHERE o.id = subscriber.id AND o.series > subscriber.series"
    ).rowcount
    # What people once said stays on record, and last of all what they are held to have said now.
    db.execute(
        "INSERT INTO main.consent SELECT o.* FROM old.consent o JOIN main.subscriber s ON s.id = o.subscriber_id"
        " WHERE NOT EXISTS (SELECT 1 FROM main.consent c WHERE (c.subscriber_id, c.at, c.state, c.how)"
        " = (o.subscriber_id, o.at, o.state, o.how)) ORDER BY o.at, o.rowid"
    )
    db.execute(
        "INSERT INTO main.consent SELECT id, ?, state, 'backup' FROM main.subscriber s WHERE state <> coalesce("
        "(SELECT state FROM main.consent WHERE subscriber_id = s.id ORDER BY at DESC, rowid DESC LIMIT 1), state)",
        (at,),
    )
    db.execute("INSERT INTO main.sqlite_sequence SELECT * FROM old.sqlite_sequence WHERE name = 'subscriber'")
    joined = db.execute(
        "SELECT count(*) FROM old.subscriber o LEFT JOIN main.subscriber s ON s.id = o.id"
        " WHERE o.state = 'confirmed' AND coalesce(s.state, '') <> 'confirmed'"
    ).fetchone()[0]
    states = [row["state"] for row in left]
    return {
        "unsubscribed": states.count("unsubscribed"),
        "blocked": states.count("blocked"),
        "erased": len(erased),
        "revoked": revoked,
        "joined": joined,
    }


_PARTS = {"revisions and keys": _revisions, "mail that was sent": _ledger, "who left": _people}


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, to a store of any version."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _writing(path: Path) -> sqlite3.Connection:
    """A connection to a copy that nobody else has."""
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.executescript("PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;")
    return db
