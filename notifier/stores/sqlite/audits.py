"""The ledger held against its own promise: the rows that could not be if it were kept, as of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

from notifier.notices import BESIDE
from notifier.stores import HIGH_WATER, Audit, DeliveryState, Finding
from notifier.stores.sqlite import lists, past
from notifier.stores.sqlite.copies import damage
from notifier.stores.sqlite.rows import ms
from notifier.stores.sqlite.schema import OPEN_STATES, SCHEMAS

GIVEN_UP_WITHIN = timedelta(minutes=15)  # of a deadline: a clock that was set is not believed for ten
ANSWERED_WITHIN = timedelta(hours=1)  # above the longest that a mail server is waited for

_STATES = ", ".join(f"'{state}'" for state in DeliveryState)
_TOLD = "('sent', 'in-flight')"
_START = "json_extract({}.snapshot, '$.sessions[0].start')"

# Each gives rows of a notice, a person and words, of which there are none while all is well.
_CHECKS = {
    "twice": f"""
        SELECT n.id, d.subscriber_id, 'it was sent twice' FROM notice n
        JOIN notice m ON (m.session_id, m.rule, m.generation) = (n.session_id, n.rule, n.generation) AND m.id < n.id
        JOIN delivery d ON d.notice_id = n.id AND d.state IN {_TOLD}
        JOIN delivery e ON e.notice_id = m.id AND e.subscriber_id = d.subscriber_id AND e.state IN {_TOLD}
    """,
    "reminded twice": f"""
        SELECT n.id, d.subscriber_id, 'it was sent for the same beginning already, as generation ' || m.generation
        FROM notice n JOIN notice m ON (m.session_id, m.rule) = (n.session_id, n.rule) AND m.generation < n.generation
        JOIN delivery d ON d.notice_id = n.id AND d.state IN {_TOLD}
        JOIN delivery e ON e.notice_id = m.id AND e.subscriber_id = d.subscriber_id AND e.state IN {_TOLD}
        WHERE n.kind = 'reminder' AND m.kind = 'reminder' AND {_START.format("n")} = {_START.format("m")}
    """,
    "recipients": """
        SELECT n.id, NULL, 'it was for ' || reached || ' people, and the ledger has ' || there || ' of them' FROM (
            SELECT id, reached, (SELECT count(*) FROM delivery d WHERE d.notice_id = notice.id) AS there
            FROM notice WHERE verdict = 'open') n WHERE reached <> there
    """,
    "owed to nobody": """
        SELECT d.notice_id, d.subscriber_id, coalesce('its notice is ' || n.verdict, 'there is no such notice')
        FROM delivery d LEFT JOIN notice n ON n.id = d.notice_id WHERE coalesce(n.verdict, '') <> 'open'
    """,
    "state": f"""
        SELECT notice_id, subscriber_id, 'it cannot be ' || state || ' after ' || attempts || ' attempts'
        FROM delivery d
        WHERE state NOT IN ({_STATES}) OR attempts < 0 OR resends < 0 OR (state = 'sent' AND attempts = 0
            AND reply NOT LIKE 'counted as sent by a person%'
            AND EXISTS (SELECT 1 FROM subscriber WHERE id = d.subscriber_id))
    """,
    "waits for nothing": """
        SELECT notice_id, subscriber_id, 'it is ' || state || ' and never tried' FROM delivery
        WHERE state IN ('queued', 'deferred') AND not_before IS NULL
    """,
    "late": f"""
        SELECT d.notice_id, d.subscriber_id, 'its deadline passed, and it is ' || d.state || ' still'
        FROM delivery d JOIN notice n ON n.id = d.notice_id
        WHERE d.{OPEN_STATES} AND (d.state <> 'ambiguous' OR d.not_before IS NOT NULL) AND n.deadline <= :given_up
    """,
    "on the wire": """
        SELECT notice_id, subscriber_id, 'it was on its way when it was last heard of' FROM delivery
        WHERE state = 'in-flight' AND (NOT :is_running OR updated <= :unanswered)
    """,
}
_TALLIES = """
    SELECT state, sum(rows) AS rows, sum(counted) AS counted FROM (
        SELECT state, count(*) AS rows, 0 AS counted FROM delivery
            WHERE notice_id IN (SELECT id FROM notice WHERE is_tallied) GROUP BY state
        UNION ALL SELECT state, 0, count FROM tally)
    GROUP BY state HAVING sum(rows) <> sum(counted)
"""


def audit(db: sqlite3.Connection, now: datetime, *, is_running: bool) -> Audit:
    """All that the ledger says of its promise, and what speaks against it."""
    db.execute("BEGIN")
    altered = tuple(_altered(db))
    try:
        if faults := damage(db):
            return Audit(findings=(*altered, *(Finding("damaged", fault) for fault in faults)))
        told = _audit(db, now, is_running=is_running)
        return replace(told, findings=(*altered, *told.findings))
    except sqlite3.OperationalError:
        if not altered:
            raise
        return Audit(findings=altered)  # in which nothing can be looked up
    finally:
        db.execute("ROLLBACK")


def _audit(db: sqlite3.Connection, now: datetime, *, is_running: bool) -> Audit:
    high_water = past.small_facts(db).get(HIGH_WATER)
    until = datetime.fromisoformat(high_water) if high_water else None
    values = {
        "given_up": ms(until - GIVEN_UP_WITHIN) if until else 0,
        "unanswered": ms(now - ANSWERED_WITHIN),
        "is_running": is_running,
    }
    findings = [*_miscounted(db)]
    for check, query in _CHECKS.items():
        findings += _found(db, check, query, values)
    ambiguous, resent = db.execute(
        "SELECT coalesce(sum(state = 'ambiguous'), 0), coalesce(sum(state = 'sent' AND resends > 0), 0) FROM delivery"
    ).fetchone()
    return Audit(
        lists.accepted(db),
        past.facts(db),
        until,
        db.execute("SELECT count(*) FROM notice").fetchone()[0],
        dict(db.execute("SELECT state, count(*) FROM delivery GROUP BY state ORDER BY state").fetchall()),
        ambiguous,
        resent,
        tuple(findings),
    )


def _found(db: sqlite3.Connection, check: str, query: str, values: Mapping[str, object]) -> Iterator[Finding]:
    rows = db.execute(
        f"WITH found (notice, who, what) AS ({query}) SELECT f.*, n.session_id, n.rule, n.generation, s.address"
        " FROM found f LEFT JOIN notice n ON n.id = f.notice LEFT JOIN subscriber s ON s.id = f.who",
        values,
    )
    for row in rows:
        yield Finding(check, row["what"], _name(row), row["who"], row["address"] or "")


def _name(row: sqlite3.Row) -> str:
    """The notice as people write it; one that is not there, by its number."""
    if row["session_id"] is None:
        return str(row["notice"])
    return f"{row['session_id'].removeprefix(BESIDE)}/{row['rule']}/{row['generation']}"


def _altered(db: sqlite3.Connection) -> Iterator[Finding]:
    """Tables, and the unique keys and indices on them, that are not as this version makes them."""
    wanted = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(" ".join(SCHEMAS))
        ours = dict(fresh.execute(wanted).fetchall())
    there = dict(db.execute(wanted).fetchall())
    for name in sorted(ours.keys() | there.keys()):
        if ours.get(name) != there.get(name):
            how = "missing" if name not in there else "not of this program" if name not in ours else "altered"
            yield Finding("schema", f"{name} is {how}, so that nothing that it kept from happening is certain")


def _miscounted(db: sqlite3.Connection) -> Iterator[Finding]:
    for row in db.execute(_TALLIES):
        told = f"{row['counted']} deliveries of notices that are over are counted as {row['state']}, and there are"
        yield Finding("tally", f"{told} {row['rows']}")
