"""How many deliveries stand where: those of a notice that is over are counted once, and not again at every question."""

from __future__ import annotations

import sqlite3

from notifier.stores import DeliveryState
from notifier.stores.sqlite.schema import OPEN_STATES

# Sums, and not groups, which would be sorted first.
COUNTED = ", ".join(f"sum(d.state = '{state}') AS '{state}'" for state in DeliveryState)
_OVER = f"""
    SELECT id FROM notice WHERE NOT is_tallied AND deadline <= ?
    AND NOT EXISTS (
        SELECT 1 FROM delivery INDEXED BY delivery_owed WHERE notice_id = notice.id AND {OPEN_STATES})
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE notice_id = notice.id AND state = 'in-flight')
"""
_ADD = "INSERT INTO tally VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"


def counts_in(row: sqlite3.Row) -> dict[str, int]:
    """What is in a row that was selected as `COUNTED`, without the states that nothing is in."""
    return {state: row[state] for state in DeliveryState if row[state]}


def add(db: sqlite3.Connection, now: int) -> None:
    """Counts the deliveries of every notice that is over: past its deadline, and none of them will change any more."""
    for (notice_id,) in db.execute(_OVER, (now,)).fetchall():
        row = db.execute(f"SELECT {COUNTED} FROM delivery d WHERE notice_id = ?", (notice_id,)).fetchone()
        db.executemany(_ADD, list(counts_in(row).items()))
        db.execute("UPDATE notice SET is_tallied = TRUE WHERE id = ?", (notice_id,))


def tally(db: sqlite3.Connection) -> dict[str, int]:
    """How many deliveries are in each state."""
    living = db.execute(
        f"SELECT {COUNTED} FROM delivery d WHERE notice_id IN (SELECT id FROM notice WHERE NOT is_tallied)"
    ).fetchone()
    over = dict(db.execute("SELECT state, count FROM tally").fetchall())
    counts = {state: over.get(state, 0) + (living[state] or 0) for state in DeliveryState}
    return {state: count for state, count in counts.items() if count}
