"""The ledger as people read it: deliveries one by one, mailings under way, and what became of the latest notices."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from notifier.returns import Meaning
from notifier.stores import Delivery, DeliveryState, Progress, Punctuality, Review, Summary
from notifier.stores.sqlite import tallies
from notifier.stores.sqlite.people import select
from notifier.stores.sqlite.rows import instant, notice_in
from notifier.stores.sqlite.schema import OPEN_STATES, TROUBLED_STATES, UNDECIDED

# From one notice with open deliveries to the next, past all that the years have settled; of these, those that still
# move: what is ambiguous without a time waits for a person.
_OPENED = f"""
    WITH RECURSIVE opened (id) AS (
        SELECT min(notice_id) FROM delivery WHERE {OPEN_STATES}
        UNION ALL SELECT (SELECT min(notice_id) FROM delivery WHERE {OPEN_STATES} AND notice_id > opened.id)
        FROM opened WHERE opened.id IS NOT NULL)
    SELECT id FROM opened WHERE EXISTS (
        SELECT 1 FROM delivery INDEXED BY delivery_owed WHERE notice_id = opened.id AND {OPEN_STATES}
        AND (state = 'claimed' OR not_before IS NOT NULL))
    UNION SELECT notice_id FROM delivery WHERE state = 'in-flight'
"""
_RUNNING = f"""
    SELECT n.*, {tallies.COUNTED} FROM notice n JOIN delivery d ON d.notice_id = n.id
    WHERE n.id IN ({_OPENED}) GROUP BY n.id ORDER BY n.deadline, n.id
"""
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


def deliveries(db: sqlite3.Connection, subscriber_id: int) -> list[Delivery]:
    return _deliveries(db, "WHERE d.subscriber_id = ? ORDER BY n.at, n.id", subscriber_id)


def progress(db: sqlite3.Connection) -> list[Progress]:
    return [Progress(notice_in(row), tallies.counts_in(row)) for row in db.execute(_RUNNING)]


def summary(db: sqlite3.Connection, now: int) -> Summary:
    overdue = db.execute(
        "SELECT count(*) FROM delivery d JOIN notice n ON n.id = d.notice_id"
        f" WHERE d.{OPEN_STATES} AND d.state <> 'ambiguous' AND n.due <= ?",
        (now,),
    ).fetchone()[0]
    errors = _deliveries(db, f"WHERE d.{TROUBLED_STATES} ORDER BY d.updated DESC LIMIT 5")
    blocked = select(db, "WHERE s.state = 'blocked' AND s.reason <> '' ORDER BY s.changed DESC LIMIT 5")
    returned = db.execute("SELECT meaning, count(*) FROM returned GROUP BY meaning ORDER BY meaning")
    doubted = db.execute(
        "SELECT count(DISTINCT r.subscriber_id) FROM returned r JOIN subscriber s ON s.id = r.subscriber_id"
        " WHERE r.meaning = 'hard' AND s.state = 'confirmed' AND r.at >= s.changed"
    ).fetchone()[0]
    came_back = {row[0]: row[1] for row in returned}
    undecided = db.execute(
        f"SELECT count(*) FROM delivery WHERE {UNDECIDED} AND notice_id IN (SELECT id FROM notice WHERE deadline > ?)",
        (now,),
    ).fetchone()[0]
    deliveries = tallies.tally(db)
    people = dict(db.execute("SELECT state, count(*) FROM subscriber GROUP BY state ORDER BY state").fetchall())
    return Summary(deliveries, people, overdue, errors, blocked, came_back, doubted, undecided)


def review(db: sqlite3.Connection, notices: int) -> Review:
    tally: dict[str, dict[str, int]] = {}
    for row in db.execute(_TALLY, (notices,)):
        tally.setdefault(row["session_id"], {})[row["state"]] = row["count"]
    punctuality = [_punctuality(db, row) for row in db.execute(_PUNCTUAL, (notices,)).fetchall()]
    return Review(tally, punctuality, _growth(db), _deliveries(db, _LOST, notices))


def _deliveries(db: sqlite3.Connection, clause: str, *values: object) -> list[Delivery]:
    rows = db.execute(
        "SELECT d.*, n.*, d.updated AS updated, coalesce(s.address, '') AS address, r.meaning, r.said FROM delivery d"
        " JOIN notice n ON n.id = d.notice_id LEFT JOIN subscriber s ON s.id = d.subscriber_id"
        " LEFT JOIN returned r ON r.notice_id = d.notice_id AND r.subscriber_id = d.subscriber_id " + clause,
        values,
    )
    return [
        Delivery(
            notice_in(row), row["subscriber_id"], row["address"], DeliveryState(row["state"]), row["attempts"],
            instant(row["at"]), instant(row["updated"]), row["reply"],
            Meaning(row["meaning"]) if row["meaning"] else None, row["said"] or "",
            row["state"] == DeliveryState.AMBIGUOUS and row["not_before"] is None,
        )
        for row in rows
    ]  # fmt: skip


def _punctuality(db: sqlite3.Connection, row: sqlite3.Row) -> Punctuality:
    half = db.execute(_HALF, (row["id"], (row["sent"] - 1) // 2)).fetchone()[0]
    after = (timedelta(milliseconds=max(0, at - row["due"])) for at in (half, row["last"]))
    return Punctuality(notice_in(row), row["sent"], *after)


def _growth(db: sqlite3.Connection) -> list[tuple[datetime, int]]:
    """The number at the end of each day on which it changed, counted back from today's, since some were forgotten."""
    steps = db.execute(_STEPS).fetchall()
    total = db.execute("SELECT count(*) FROM subscriber WHERE state = 'confirmed'").fetchone()[0]
    total -= sum(row["more"] for row in steps)
    growth = []
    for row in steps:
        total += row["more"]
        growth.append((instant((row["day"] + 1) * 86400000), total))
    return growth
