"""Values ↔ what the columns hold: instants are whole milliseconds since 1970 in UTC, what has parts is JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from notifier import talks
from notifier.notices import Kind, Notice
from notifier.subscribers import State, Subscriber
from notifier.talks import Seminar, Session

SUBSCRIBER = "s.*, (SELECT group_concat(seconds) FROM lead WHERE subscriber_id = s.id) AS leads"


def ms(instant: datetime) -> int:
    """Whole milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def instant(milliseconds: int) -> datetime:
    """The instant so many milliseconds after 1970 began, in UTC."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def as_json(value: Any) -> str:
    """The value as JSON, in its own letters."""
    return json.dumps(value, ensure_ascii=False)


def snapshot(session: Session) -> str:
    """A session as it is now, for `session_in`."""
    # A session alone is told as a seminar of one, so that there is one way to write it and one to read it back.
    return as_json(talks.as_json(Seminar("_", "_", session.timezone, sessions=(session,))))


@lru_cache(64)  # everyone's claim of one notice holds the same
def session_in(text: str) -> Session:
    """The session that this snapshot holds."""
    return talks.from_json(json.loads(text)).sessions[0]


def notice_in(row: sqlite3.Row) -> Notice:
    """The notice in a row of its table, whatever else the row holds."""
    lead = timedelta(seconds=row["lead"]) if row["lead"] is not None else None
    due, deadline = instant(row["due"]), instant(row["deadline"])
    return Notice(row["session_id"], Kind(row["kind"]), row["rule"], row["generation"], due, deadline, lead)


def subscriber_in(row: sqlite3.Row | Mapping[str, Any]) -> Subscriber:
    """The subscriber in a row that was selected as `SUBSCRIBER`."""
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
        instant(row["paused_until"]) if row["paused_until"] is not None else None,
        row["reason"],
        row["series"],
        instant(row["changed"]),
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
