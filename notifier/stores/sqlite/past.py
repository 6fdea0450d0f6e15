"""What the ledger knows of the past by name: the first start, rules, small facts, and all of it as `Facts`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from notifier.bulletins import Bulletin
from notifier.notices import BESIDE, Facts, Key, Kind, Settled, Verdict
from notifier.stores import APPROVAL, USED_UNTIL
from notifier.stores.sqlite.rows import as_json, instant, session_in

_BULLETIN = "bulletin/"  # with a session's id behind it, the name of the fact that holds its last bulletin
_NEVER = str(253402214400000)  # 9999-12-31: before the first start nothing is old enough to be due

_WELCOMED = """
    SELECT session_id, snapshot, min(id) AS id FROM notice
    WHERE session_id BETWEEN '@' AND 'A' AND session_id <> '@' AND rule = 'welcome' GROUP BY session_id
"""


def note_start(db: sqlite3.Connection, rules: Iterable[str], at: int) -> None:
    """Notes the first start, and of each rule when it was first seen."""
    db.execute("INSERT OR IGNORE INTO fact VALUES ('baseline', ?)", (str(at),))
    db.executemany("INSERT OR IGNORE INTO rule VALUES (?, ?)", [(name, at) for name in rules])


def small_facts(db: sqlite3.Connection) -> dict[str, str]:
    """Every small fact by its name."""
    return dict(db.execute("SELECT * FROM fact").fetchall())


def note(db: sqlite3.Connection, facts: Mapping[str, str]) -> None:
    db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(facts.items()))


def announce(db: sqlite3.Connection, bulletin: Bulletin) -> None:
    known = bulletin.number, bulletin.line, bulletin.at.isoformat(), bulletin.until.isoformat()
    note(db, {_BULLETIN + bulletin.session_id: as_json(known)})


def facts(db: sqlite3.Connection) -> Facts:
    settled: dict[str, list[Settled]] = {}
    told: dict[str, tuple[int, str]] = {}  # the notice's id, and the session as it was then
    for row in db.execute("SELECT * FROM notice WHERE session_id NOT BETWEEN '@' AND 'A' ORDER BY id"):
        fact = Settled(
            Kind(row["kind"]),
            row["rule"],
            row["generation"],
            Verdict(row["verdict"]),
            instant(row["at"]),
            row["reached"],
            row["reason"],
        )
        settled.setdefault(row["session_id"], []).append(fact)
        if fact.verdict is Verdict.OPEN:
            told[row["session_id"]] = row["id"], row["snapshot"]
    reached = {session_id for session_id, facts in settled.items() if any(fact.reached for fact in facts)}
    # Where no notice reached anybody yet, those who were welcomed know the session as the first of them was told, but
    # for what opened since: that was for them, and reached nobody because they had left.
    for row in db.execute(_WELCOMED):
        if (session_id := row["session_id"].removeprefix(BESIDE)) not in reached:
            told[session_id] = max(told.get(session_id, (0, "")), (row["id"], row["snapshot"]))
            reached.add(session_id)
    return Facts(
        baseline=instant(int(_fact(db, "baseline", _NEVER))),
        rules={row["name"]: instant(row["first_seen"]) for row in db.execute("SELECT * FROM rule")},
        settled={session_id: tuple(facts) for session_id, facts in settled.items()},
        told={session_id: session_in(text) for session_id, (_, text) in told.items() if session_id in reached},
        leads=frozenset(timedelta(seconds=row[0]) for row in db.execute("SELECT DISTINCT seconds FROM lead")),
        approved=dict(_approvals(db)),
        bulletins=dict(_bulletins(db)),
        used_until=datetime.fromisoformat(used) if (used := _fact(db, USED_UNTIL, "")) else None,
    )


def _approvals(db: sqlite3.Connection) -> Iterator[tuple[Key, datetime]]:
    for name, value in _facts_below(db, APPROVAL):
        session_id, rule, generation = name.rsplit("/", 2)
        yield (session_id, rule, int(generation)), datetime.fromisoformat(value)


def _bulletins(db: sqlite3.Connection) -> Iterator[tuple[str, Bulletin]]:
    for session_id, value in _facts_below(db, _BULLETIN):
        number, line, at, until = json.loads(value)
        yield session_id, Bulletin(session_id, number, line, datetime.fromisoformat(at), datetime.fromisoformat(until))


def _facts_below(db: sqlite3.Connection, path: str) -> Iterator[tuple[str, str]]:
    """The small facts whose names begin with this path, which ends in a slash, by the rest of their names."""
    beyond = path[:-1] + chr(ord("/") + 1)
    for row in db.execute("SELECT name, value FROM fact WHERE name >= ? AND name < ?", (path, beyond)):
        yield row["name"].removeprefix(path), row["value"]


def _fact(db: sqlite3.Connection, name: str, default: str) -> str:
    row = db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return default if row is None else str(row["value"])
