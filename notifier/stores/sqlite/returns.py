"""Mail that came back, and whom it blocks."""

from __future__ import annotations

import sqlite3

from notifier.returns import Meaning
from notifier.stores import Returned
from notifier.stores.sqlite.people import set_state, subscriber_of
from notifier.subscribers import State, Subscriber

_GRAVITY = {Meaning.DELAYED: 1, Meaning.SOFT: 2, Meaning.HARD: 3, Meaning.COMPLAINT: 4}


def come_back(
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
        return True, block_dead(db, returned.subscriber_id, returned.said, at, "returned mail")
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


def block_dead(db: sqlite3.Connection, subscriber_id: int, said: str, at: int, how: str) -> Subscriber | None:
    """Whom it blocked; None where there was no mail to stop, or too many are said to be dead at once."""
    today = "SELECT count(*) FROM consent WHERE state = 'blocked' AND at > ?"
    people = db.execute("SELECT count(*) FROM subscriber").fetchone()[0]
    if db.execute(today, (at - _DAY,)).fetchone()[0] >= max(_FEW_DEAD, people // _DEAD_PART):
        return None
    return _block(db, subscriber_id, f"there is no such mailbox: {said}", at, how)


def _block(db: sqlite3.Connection, subscriber_id: int, reason: str, at: int, how: str) -> Subscriber | None:
    """Whom it blocked; None where there was no mail to stop."""
    known = subscriber_of(db, subscriber_id)
    if known is None or known.state is not State.CONFIRMED:
        return None
    return set_state(db, subscriber_id, State.BLOCKED, at, how, reason)
