"""The file: its tables through all versions, and a connection to it on which every commit is durable."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from notifier.errors import Problem, StoreError
from notifier.files import unwritable

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
OPEN_STATES = "state IN ('queued', 'claimed', 'deferred', 'ambiguous')"
# By these, and those of `_YEARS`, neither a claim nor a tick grows with the length of a list or the years behind it.
_OWED = f"""
DROP INDEX delivery_waiting;
CREATE INDEX delivery_owed ON delivery (notice_id, not_before) WHERE {OPEN_STATES};
CREATE INDEX notice_by_deadline ON notice (deadline);
CREATE INDEX subscriber_unconfirmed ON subscriber (changed) WHERE state = 'unconfirmed';
"""
_BLOCKS = "CREATE INDEX consent_to_nothing ON consent (at) WHERE state = 'blocked';"
_LANES = "ALTER TABLE delivery ADD COLUMN lane TEXT NOT NULL DEFAULT '';"
_EDITS = "ALTER TABLE session ADD COLUMN edited INTEGER;"
TROUBLED_STATES = "state IN ('failed', 'ambiguous', 'expired', 'deferred')"
_YEARS = f"""
CREATE INDEX delivery_in_flight ON delivery (notice_id) WHERE state = 'in-flight';
CREATE INDEX delivery_troubled ON delivery (updated) WHERE {TROUBLED_STATES};
CREATE TABLE tally (state TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
ALTER TABLE notice ADD COLUMN is_tallied INTEGER NOT NULL DEFAULT FALSE;
CREATE INDEX notice_untallied ON notice (deadline) WHERE NOT is_tallied;
"""
# Who subscribed before there was mail about replays did not ask for it.
_REPLAYS = """
UPDATE subscriber SET declined = json_insert(declined, '$[#]', 'replay') WHERE state <> 'unconfirmed';
"""
# Each makes of a store of the version before it one of its own.
SCHEMAS = (_FIRST_SCHEMA, _WISHES, _RETURNED_MAIL, _REQUESTS, _OWED, _BLOCKS, _LANES, _EDITS, _YEARS, _REPLAYS)
SCHEMA_VERSION = len(SCHEMAS)

# An ambiguous row without a time waits for nothing: it was resent often enough, or the operator chose to hold it.
UNSENT = f"{OPEN_STATES} AND (state <> 'ambiguous' OR not_before IS NOT NULL)"
UNDECIDED = f"{OPEN_STATES} AND state = 'ambiguous' AND not_before IS NULL"

# Whose deliveries the next `expire` looks at; of this connection alone, which is the only one that writes.
_WATCH = f"""
CREATE TEMP TABLE changed (subscriber_id INTEGER PRIMARY KEY);
CREATE TEMP TRIGGER subscriber_changed AFTER UPDATE OF state ON main.subscriber WHEN old.state <> new.state
BEGIN INSERT OR IGNORE INTO changed VALUES (new.id); END;
CREATE TEMP TRIGGER subscriber_erased AFTER DELETE ON main.subscriber
BEGIN INSERT OR IGNORE INTO changed VALUES (old.id); END;
INSERT INTO changed
    SELECT subscriber_id FROM delivery WHERE {OPEN_STATES} UNION
    SELECT subscriber_id FROM delivery WHERE state = 'in-flight';
"""
# What is deleted is overwritten: who is erased is not to be read in the file's free pages.
_DURABLE = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA secure_delete = ON;
"""


def connect(path: str | Path, read_only: bool) -> sqlite3.Connection:
    """A connection to the store in this file, which is made when it is missing and brought to this version.

    Raises StoreError where it is damaged or of another version, and sqlite3.Error where it cannot be used at all.
    """
    if read_only:
        db = sqlite3.connect(
            f"{Path(path).absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    else:
        if path != ":memory:":
            _make_private(path)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.executescript("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")
    if not read_only:
        db.executescript(_DURABLE)
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreError(Problem("the store is damaged", "restore a backup", str(path)))
    migrate(db, path, read_only)
    if not read_only:
        db.executescript(_WATCH)
    return db


def _make_private(path: str | Path) -> None:
    """Makes the file, where it is missing, its owner's alone: it holds addresses and keys.

    SQLite gives the files beside it the same mode.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(unwritable(error, path)) from error


def migrate(db: sqlite3.Connection, path: str | Path, read_only: bool) -> None:
    """Brings a store of an older version to this one. Raises StoreError where it is newer, or is only to be read."""
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
        steps = " ".join(SCHEMAS[version:])
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        db.execute("PRAGMA foreign_keys = ON")
