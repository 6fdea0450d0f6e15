"""Notices opened or otherwise settled, and whom each of them is for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.stores.sqlite.rows import ms, snapshot
from notifier.stores.sqlite.schema import UNSENT
from notifier.subscribers import searchable
from notifier.talks import Session

_RECIPIENTS = """
    SELECT s.id FROM subscriber s WHERE s.state = 'confirmed' AND (
        (
            coalesce(s.paused_until <= :at, TRUE)
            AND (s.words = '[]' OR EXISTS (SELECT 1 FROM json_each(s.words) WHERE instr(:about, value)))
            AND (
                (:everyone AND NOT instr(s.declined, '"announcement"'))
                OR (:replays AND NOT instr(s.declined, '"replay"'))
                OR (NOT instr(s.declined, '"reminder"') AND (
                    (:by_default AND NOT EXISTS (SELECT 1 FROM lead WHERE subscriber_id = s.id))
                    OR EXISTS (SELECT 1 FROM lead WHERE subscriber_id = s.id
                               AND seconds IN (SELECT value FROM json_each(:leads)))))
            )
        )
        OR (:told AND s.id IN (
            SELECT d.subscriber_id FROM delivery d JOIN notice n ON n.id = d.notice_id
            WHERE n.session_id IN (:session_id, '@' || :session_id)
            AND d.state IN ('queued', 'claimed', 'in-flight', 'sent', 'deferred', 'ambiguous')))
    )
"""

_OF_SESSION = "SELECT id FROM notice WHERE session_id = :session_id"
# What is left of a bulletin when the next one comes: whoever has not had it does without, unless that one is mute, and
# this one tells of a change besides.
WITHDRAW = f"""
    UPDATE delivery SET state = 'cancelled', not_before = NULL, reply = 'the line was taken back', updated = :at
    WHERE {UNSENT} AND EXISTS (
        SELECT 1 FROM notice old JOIN notice new ON new.session_id = old.session_id AND new.id > old.id
        WHERE old.id = delivery.notice_id AND old.kind = 'urgent' AND new.kind = 'urgent'
              AND (old.before IS NULL OR new.verdict = 'open'))
"""
# And what it stood for, where nothing else does by now: it is owed again.
GIVE_BACK = """
    UPDATE delivery SET state = 'queued', not_before = :at, reply = '', updated = :at
    WHERE notice_id IN (SELECT id FROM notice WHERE kind IN ('announcement', 'reminder') AND deadline > :at)
    AND state = 'cancelled' AND reply = 'told by a later mail instead'
    AND subscriber_id IN (SELECT id FROM subscriber WHERE state = 'confirmed')
    AND EXISTS (
        SELECT 1 FROM notice old JOIN notice new ON new.session_id = old.session_id AND new.id > old.id
        JOIN delivery d ON d.notice_id = new.id AND d.subscriber_id = delivery.subscriber_id
        WHERE old.id = delivery.notice_id AND new.kind = 'urgent' AND d.state = 'cancelled')
    AND NOT EXISTS (
        SELECT 1 FROM notice old JOIN notice new ON new.session_id = old.session_id AND new.id > old.id
        JOIN delivery d ON d.notice_id = new.id AND d.subscriber_id = delivery.subscriber_id
        WHERE old.id = delivery.notice_id AND NOT (new.kind = 'urgent' AND d.state = 'cancelled'))
"""


def settle(db: sqlite3.Connection, decision: Decision, session: Session, at: int) -> int:
    notice = decision.notice
    made = db.execute(
        "INSERT OR IGNORE INTO notice (session_id, kind, rule, generation, due, deadline, lead, verdict, reason, at,"
        " snapshot, before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *notice.key[:1], notice.kind, notice.rule, notice.generation, ms(notice.due), ms(notice.deadline),
            int(notice.lead.total_seconds()) if notice.lead is not None else None,
            decision.verdict, decision.reason, at, snapshot(session),
            snapshot(decision.before) if decision.before else None,
        ),
    )  # fmt: skip
    if made.rowcount == 0:
        return 0
    reached = 0
    if decision.verdict is Verdict.OPEN:
        reached = _open(db, made.lastrowid, decision, session, at)
    if notice.kind is Kind.URGENT:
        # Last: whoever was yet to have the line before is among those whom this one is for.
        for undo in (WITHDRAW, GIVE_BACK):
            of_session = {"session_id": notice.session_id, "at": at}
            db.execute(f"{undo} AND delivery.notice_id IN ({_OF_SESSION})", of_session)
    return reached


def _open(db: sqlite3.Connection, notice_id: int | None, decision: Decision, session: Session, at: int) -> int:
    notice = decision.notice
    values = {**_recipients(notice, session, at), "notice_id": notice_id}
    reached = db.execute(
        "INSERT INTO delivery (notice_id, subscriber_id, state, not_before, updated)"
        f" SELECT :notice_id, id, 'queued', :at, :at FROM ({_RECIPIENTS})",
        values,
    ).rowcount
    db.execute("UPDATE notice SET reached = ? WHERE id = ?", (reached, notice_id))
    if notice.kind in (Kind.REMINDER, Kind.URGENT) and decision.before is None:
        db.execute(
            "UPDATE delivery SET state = 'cancelled', not_before = NULL, updated = :at,"
            f" reply = 'told by a later mail instead' WHERE ({UNSENT}) AND notice_id <> :notice_id"
            " AND subscriber_id IN (SELECT subscriber_id FROM delivery WHERE notice_id = :notice_id)"
            f" AND notice_id IN ({_OF_SESSION} AND kind IN ('announcement', 'reminder'))",
            values,
        )
    elif notice.recipients.told:
        db.execute(
            "UPDATE delivery SET state = 'cancelled', reply = 'told by a later mail instead', updated = :at"
            f" WHERE ({UNSENT}) AND notice_id <> :notice_id AND notice_id IN ({_OF_SESSION})",
            values,
        )
    return int(reached)


def counts(db: sqlite3.Connection, notices: Iterable[Notice], sessions: Mapping[str, Session]) -> list[int]:
    whom = [_recipients(notice, sessions[notice.session_id], ms(notice.due)) for notice in notices]
    return [db.execute(f"SELECT count(*) FROM ({_RECIPIENTS})", one).fetchone()[0] for one in whom]


def _recipients(notice: Notice, session: Session, at: int) -> dict[str, Any]:
    whom: Recipients = notice.recipients
    return {
        "at": at,
        "about": searchable(session),
        "everyone": whom.everyone,
        "by_default": whom.by_default,
        "leads": json.dumps(sorted(int(lead.total_seconds()) for lead in whom.leads)),
        "told": whom.told,
        "replays": whom.replays,
        "session_id": notice.session_id,
    }
