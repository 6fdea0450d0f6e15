"""Requests for a subscription, and the mails that answer them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta

from notifier.errors import LimitError, Problem
from notifier.notices import BESIDE, Kind
from notifier.stores.sqlite.people import select, set_state, subscribe, subscriber_of
from notifier.stores.sqlite.rows import ms, snapshot
from notifier.subscribers import CONFIRM_WITHIN, State, Subscriber, comparable
from notifier.talks import Session

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_MAILS_OF_SUBSCRIPTIONS = "SELECT count(*) FROM notice WHERE session_id BETWEEN '@' AND 'A' AND at > ?"


def ask(
    db: sqlite3.Connection, one: Subscriber, session: Session | None, now: datetime, per_address: int, in_all: int
) -> Kind | None:
    recent = db.execute(_MAILS_OF_SUBSCRIPTIONS, (ms(now - HOUR),)).fetchone()[0]
    if recent >= in_all:
        raise LimitError(Problem("too many people ask for a subscription at once", "try again in an hour"))
    known = _asked(db, one, ms(now))
    kind = Kind.WELCOME if known.state is State.CONFIRMED else Kind.CONFIRMATION
    if known.state is State.BLOCKED or _mails_since(db, known.id, now - DAY) >= per_address:
        return None
    # Who does not answer does not want it, however often somebody asks in their name.
    if kind is Kind.CONFIRMATION and _mails_since(db, known.id, now - CONFIRM_WITHIN) >= 2 * per_address:
        return None
    _open_for(db, kind, known.id, session, now)
    return kind


def confirm(
    db: sqlite3.Connection, subscriber_id: int, session: Session | None, now: datetime, per_address: int
) -> Subscriber | None:
    before = subscriber_of(db, subscriber_id)
    one = set_state(db, subscriber_id, State.CONFIRMED, ms(now), "link")
    if before and one and before.state is not one.state and _mails_since(db, one.id, now - DAY) < per_address:
        _open_for(db, Kind.WELCOME, one.id, session, now)
    return one


def _asked(db: sqlite3.Connection, one: Subscriber, at: int) -> Subscriber:
    """The subscriber at an address for which somebody asks; who never confirmed is as the last one who asked said."""
    key = comparable(one.address)
    known = next(iter(select(db, "WHERE s.comparable = ?", key)), None)
    if known is None or known.state is State.UNCONFIRMED:
        subscribe(db, replace(one, state=State.UNCONFIRMED), at, "form")
        db.execute("UPDATE subscriber SET changed = ? WHERE comparable = ?", (at, key))
    return known or select(db, "WHERE s.comparable = ?", key)[0]


def _mails_since(db: sqlite3.Connection, subscriber_id: int, since: datetime) -> int:
    """How many mails about their subscription were opened for them since then."""
    count: int = db.execute(
        "SELECT count(*) FROM delivery d JOIN notice n ON n.id = d.notice_id"
        " WHERE d.subscriber_id = ? AND n.session_id BETWEEN '@' AND 'A' AND n.at > ?",
        (subscriber_id, ms(since)),
    ).fetchone()[0]
    return count


def _open_for(db: sqlite3.Connection, kind: Kind, subscriber_id: int, session: Session | None, now: datetime) -> None:
    """Opens a notice about a subscription, and the one delivery of it."""
    at, deadline = ms(now), ms(now + DAY)
    made = db.execute(
        "INSERT INTO notice (session_id, kind, rule, generation, due, deadline, verdict, reason, at, snapshot, reached)"
        " VALUES (:session, :kind, :kind, (SELECT coalesce(max(generation), 0) + 1 FROM notice"
        " WHERE session_id = :session AND rule = :kind), :at, :deadline, 'open', '', :at, :snapshot, 1)",
        {
            "session": BESIDE + (session.id if session else ""), "kind": kind, "at": at, "deadline": deadline,
            "snapshot": snapshot(session) if session else "",
        },
    )  # fmt: skip
    db.execute(
        "INSERT INTO delivery (notice_id, subscriber_id, state, not_before, updated) VALUES (?, ?, 'queued', ?, ?)",
        (made.lastrowid, subscriber_id, at, at),
    )
