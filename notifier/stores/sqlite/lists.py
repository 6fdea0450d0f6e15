"""The talk list that was taken last, the identity of every session that ever was, and what was published of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from notifier import talks
from notifier.intake import Accepted
from notifier.revisions import Identity
from notifier.stores.sqlite.rows import as_json, instant, ms
from notifier.stores.sqlite.schema import UNSENT
from notifier.talks import Session


def accepted(db: sqlite3.Connection) -> Accepted | None:
    row = db.execute("SELECT seminar, text, source, at FROM accepted").fetchone()
    if row is None:
        return None
    sessions = [json.loads(listed["document"]) for listed in db.execute("SELECT document FROM listed")]
    seminar = talks.from_json({"seminar": json.loads(row["seminar"]), "sessions": sessions})
    return Accepted(seminar, row["text"], row["source"], instant(row["at"]))


def accept(
    db: sqlite3.Connection, accepted: Accepted, changed: Iterable[Session], identities: Iterable[Identity]
) -> None:
    """Takes a talk list of which only these sessions and identities differ from the last one."""
    head = as_json(talks.as_json(replace(accepted.seminar, sessions=()))["seminar"])
    values = (head, accepted.text, accepted.source, ms(accepted.at))
    db.execute("INSERT OR REPLACE INTO accepted VALUES (1, ?, ?, ?, ?)", values)
    present = json.dumps([session.id for session in accepted.seminar.sessions])
    db.execute("DELETE FROM listed WHERE session_id NOT IN (SELECT value FROM json_each(?))", (present,))
    documents = ((session.id, as_json(talks.session_as_json(session))) for session in changed)
    db.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", documents)
    db.execute(
        "UPDATE delivery SET state = 'cancelled', reply = 'the session was taken off the list', updated = ?"
        f" WHERE ({UNSENT}) AND notice_id IN"
        " (SELECT id FROM notice WHERE session_id NOT IN (SELECT value FROM json_each(?))"
        " AND session_id NOT BETWEEN '@' AND 'A')",
        (ms(accepted.at), present),
    )
    rows = [
        (i.id, i.uid, i.digest, i.revision, ms(i.created), ms(i.modified), ms(i.edited) if i.edited else None)
        for i in identities
    ]
    db.executemany("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def identities(db: sqlite3.Connection) -> dict[str, Identity]:
    return {
        row["id"]: Identity(
            row["id"],
            row["uid"],
            row["digest"],
            row["revision"],
            instant(row["created"]),
            instant(row["modified"]),
            instant(row["edited"]) if row["edited"] is not None else None,
        )
        for row in db.execute("SELECT * FROM session")
    }


def documents(db: sqlite3.Connection) -> dict[str, tuple[str, datetime]]:
    return {row["name"]: (row["etag"], instant(row["modified"])) for row in db.execute("SELECT * FROM document")}


def publish(db: sqlite3.Connection, documents: Mapping[str, tuple[str, datetime]]) -> None:
    rows = [(name, etag, ms(modified)) for name, (etag, modified) in documents.items()]
    db.executemany("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", rows)
