"""Subscribers, their wishes, and how they came into each of their states."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from notifier.stores import Consent
from notifier.stores.sqlite.rows import SUBSCRIBER, as_json, instant, ms, subscriber_in
from notifier.stores.sqlite.schema import UNSENT
from notifier.subscribers import State, Subscriber, comparable
from notifier.verdicts import reminder_rule


def subscribe(db: sqlite3.Connection, one: Subscriber, at: int, how: str, *, brings_back: bool = True) -> bool:
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


def set_state(
    db: sqlite3.Connection, subscriber_id: int, state: State, at: int, how: str, reason: str = ""
) -> Subscriber | None:
    known = subscriber_of(db, subscriber_id)
    if known is None or not known.state.may_become(state):
        return known
    _keep(db, replace(known, state=state, reason=reason), at, how)
    return subscriber_of(db, subscriber_id)


def prefer(db: sqlite3.Connection, wishes: Subscriber, at: int) -> Subscriber | None:
    known = subscriber_of(db, wishes.id)
    if known is None:
        return None
    _keep(db, replace(wishes, address=known.address, state=known.state, reason=known.reason), at, "")
    return subscriber_of(db, wishes.id)


def revoke(db: sqlite3.Connection, subscriber_id: int) -> Subscriber | None:
    db.execute("UPDATE subscriber SET series = series + 1 WHERE id = ?", (subscriber_id,))
    return subscriber_of(db, subscriber_id)


def erase(db: sqlite3.Connection, subscriber_id: int, at: int) -> bool:
    # What a mail server answered may name the address.
    db.execute("UPDATE delivery SET reply = '' WHERE subscriber_id = ?", (subscriber_id,))
    db.execute("UPDATE returned SET said = '' WHERE subscriber_id = ?", (subscriber_id,))
    db.execute(
        "UPDATE delivery SET state = 'cancelled', reply = 'the subscriber was erased', updated = ?"
        f" WHERE ({UNSENT}) AND subscriber_id = ?",
        (at, subscriber_id),
    )
    return db.execute("DELETE FROM subscriber WHERE id = ?", (subscriber_id,)).rowcount == 1


def consents(db: sqlite3.Connection, subscriber_id: int) -> list[Consent]:
    rows = db.execute("SELECT at, state, how FROM consent WHERE subscriber_id = ? ORDER BY at, rowid", (subscriber_id,))
    return [Consent(instant(row["at"]), State(row["state"]), row["how"]) for row in rows]


def subscribers(db: sqlite3.Connection) -> list[Subscriber]:
    return select(db, "ORDER BY s.comparable")


def subscriber(db: sqlite3.Connection, address: str) -> Subscriber | None:
    return next(iter(select(db, "WHERE s.comparable = ?", comparable(address))), None)


def subscriber_of(db: sqlite3.Connection, subscriber_id: int) -> Subscriber | None:
    return next(iter(select(db, "WHERE s.id = ?", subscriber_id)), None)


def select(db: sqlite3.Connection, clause: str, *values: object) -> list[Subscriber]:
    """The subscribers `s` whom the clause selects."""
    return [subscriber_in(row) for row in db.execute(f"SELECT {SUBSCRIBER} FROM subscriber s {clause}", values)]


def _note_rules(db: sqlite3.Connection, one: Subscriber, at: int) -> None:
    """Notes of each lead time that nobody chose before since when it is a rule: what was due earlier is not missed."""
    # What is known already is looked for first: of an import of a hundred thousand, none reads all lead times.
    db.executemany(
        "INSERT INTO rule SELECT :rule, :at WHERE NOT EXISTS (SELECT 1 FROM rule WHERE name = :rule)"
        " AND NOT EXISTS (SELECT 1 FROM lead WHERE seconds = :seconds)",
        [
            {"rule": reminder_rule(lead), "at": at, "seconds": int(lead.total_seconds())}
            for lead in {*(one.leads or ())}
        ],
    )


def _keep(db: sqlite3.Connection, one: Subscriber, at: int, how: str) -> None:
    """Writes down everything of a subscriber who has a row; a new state also as a consent."""
    before = db.execute("SELECT state FROM subscriber WHERE id = ?", (one.id,)).fetchone()["state"]
    db.execute(
        "UPDATE subscriber SET address = :address, name = :name, language = :language, timezone = :timezone,"
        " state = :state, reason = :reason, declined = :declined, words = :words, paused_until = :paused_until,"
        " changed = iif(state = :state, changed, :at) WHERE id = :id",
        {
            "address": one.address, "name": one.name, "language": one.language, "timezone": one.timezone,
            "state": one.state, "reason": one.reason, "declined": as_json(sorted(one.declined)),
            "words": as_json(one.words), "paused_until": ms(one.paused_until) if one.paused_until else None,
            "at": at, "id": one.id,
        },
    )  # fmt: skip
    _note_rules(db, one, at)
    db.execute("DELETE FROM lead WHERE subscriber_id = ?", (one.id,))
    seconds = sorted({int(lead.total_seconds()) for lead in one.leads or ()})
    db.executemany("INSERT INTO lead VALUES (?, ?)", [(one.id, s) for s in seconds])
    if before != one.state:
        db.execute("INSERT INTO consent VALUES (?, ?, ?, ?)", (one.id, at, one.state, how))
