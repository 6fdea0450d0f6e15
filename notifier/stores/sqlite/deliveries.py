"""Deliveries on their way: claimed, in flight, recorded, ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from notifier.stores import Claim, DeliveryState, Ended, Result
from notifier.stores.sqlite import tallies
from notifier.stores.sqlite.openings import GIVE_BACK, WITHDRAW
from notifier.stores.sqlite.returns import block_dead
from notifier.stores.sqlite.rows import SUBSCRIBER, as_json, instant, ms, notice_in, session_in, subscriber_in
from notifier.stores.sqlite.schema import OPEN_STATES, UNDECIDED, UNSENT
from notifier.subscribers import CONFIRM_WITHIN

_IS_ADDRESSED = (
    "CASE n.kind WHEN 'confirmation' THEN s.state IN ('unconfirmed', 'unsubscribed') ELSE s.state = 'confirmed' END"
)
RESENDS = 3  # of a mail whose fate is unknown: each may be a copy too many, and all may be one too few

# A whole list is one statement: Python's sqlite3 lets go of the interpreter for every row that it steps to, and under
# load it takes longer to get it back than the row takes.
_OF_LIST = """
    FROM json_each(:rows) AS row
    WHERE delivery.notice_id = json_extract(row.value, '$[0]')
      AND delivery.subscriber_id = json_extract(row.value, '$[1]')
"""
_TAKE = f"""
    UPDATE delivery SET state = 'claimed', resends = resends + (state = 'ambiguous'), updated = :now {_OF_LIST}
"""
_STANDING = f"""
    SELECT json_group_array(row.key) FROM json_each(:rows) AS row
    JOIN delivery d ON d.notice_id = json_extract(row.value, '$[0]')
                   AND d.subscriber_id = json_extract(row.value, '$[1]') AND d.state = 'claimed'
    JOIN notice n ON n.id = d.notice_id AND n.deadline > :now
    JOIN subscriber s ON s.id = d.subscriber_id AND {_IS_ADDRESSED}
"""
_INTEND = f"UPDATE delivery SET state = 'in-flight', lane = '', updated = :now {_OF_LIST}"
# Few ever leave by another lane than the first.
_INTEND_ELSEWHERE = "UPDATE delivery SET lane = ? WHERE notice_id = ? AND subscriber_id = ? AND state = 'in-flight'"
# A row that was settled meanwhile, by a change of the session or by its deadline, stays as it is.
_RECORD = f"""
    UPDATE delivery SET state = json_extract(row.value, '$[2]'), attempts = attempts + json_extract(row.value, '$[3]'),
        resends = resends - json_extract(row.value, '$[4]'), not_before = json_extract(row.value, '$[5]'),
        code = json_extract(row.value, '$[6]'), reply = coalesce(json_extract(row.value, '$[7]'), reply), updated = :now
    {_OF_LIST} AND delivery.state IN ('claimed', 'in-flight')
"""

# What was on the wire when a change of its session or a later reminder opened, and is to be tried again: the later mail
# has taken its place.
_SUPERSEDE = f"""
    UPDATE delivery SET state = 'cancelled', not_before = NULL, reply = 'told by a later mail instead', updated = :at
    WHERE {UNSENT} AND EXISTS (
        SELECT 1 FROM notice old JOIN notice new ON new.session_id = old.session_id AND new.id > old.id
        JOIN delivery d ON d.notice_id = new.id AND d.subscriber_id = delivery.subscriber_id
        WHERE old.id = delivery.notice_id AND d.state <> 'cancelled' AND (new.before IS NOT NULL
              OR new.kind IN ('reminder', 'urgent') AND old.kind IN ('announcement', 'reminder')))
"""

# Of those who asked for a subscription each has a notice of their own. Of more of them than are wanted so many are
# looked at, because who left since has nothing to be claimed until the next tick has cleared it away.
_IDLE_NOTICES = 100
_OPEN = f"""
    SELECT * FROM notice n
    WHERE n.deadline > :now AND iif(n.kind = 'welcome', substr(n.session_id, 2), n.session_id) NOT IN
          (SELECT value FROM json_each(:paused))
      AND EXISTS (SELECT 1 FROM delivery d WHERE d.notice_id = n.id
                  AND d.{OPEN_STATES} AND d.state <> 'claimed' AND d.not_before <= :now)
    ORDER BY n.kind <> 'urgent', n.session_id NOT BETWEEN '@' AND 'A', n.deadline, n.id LIMIT :limit + {_IDLE_NOTICES}
"""
_CLAIMED = (
    "attempts", "resends", "lane", "is_resend", "id", "address", "name", "language", "timezone", "leads", "state",
    "declined", "words", "paused_until", "reason", "series", "changed",
)  # fmt: skip
_FIELDS = ", ".join(f"'{name}', {name}" for name in _CLAIMED)
# CROSS JOIN, so that the people are looked up in the order of the index, and no more of them than are wanted.
_OWED_OF_NOTICE = f"""
    SELECT json_group_array(json_object({_FIELDS})) FROM (
        SELECT d.attempts, d.resends, d.lane, d.state = 'ambiguous' AS is_resend, {SUBSCRIBER}
        FROM notice n CROSS JOIN delivery d ON d.notice_id = n.id CROSS JOIN subscriber s ON s.id = d.subscriber_id
        WHERE n.id = ? AND d.{OPEN_STATES} AND d.state <> 'claimed' AND d.not_before <= ? AND {_IS_ADDRESSED}
        ORDER BY d.not_before, d.subscriber_id LIMIT ?
    )
"""


_COUNT_AS_SENT = "state = 'sent', reply = trim('counted as sent by a person; ' || reply, '; ')"


def take_over(db: sqlite3.Connection, at: int, lanes: Iterable[str], *, resend: bool) -> None:
    """Gives back the claims of a dead run; its mails in flight are ambiguous, and tried again where they may be."""
    db.execute(
        f"UPDATE delivery SET state = 'queued', updated = ? WHERE {OPEN_STATES} AND state = 'claimed' AND resends = 0",
        (at,),
    )
    # Always resent, however often: between an intent and its DATA a mail has not left, and nobody is skipped.
    db.execute(
        "UPDATE delivery SET state = 'ambiguous', updated = :at,"
        " reply = 'the daemon died with this mail on the wire',"
        " not_before = iif(:resend, :at, NULL) WHERE state = 'in-flight'",
        {"at": at, "resend": resend},
    )
    # What is claimed still was being resent: it stays ambiguous until that resend is done.
    db.execute(
        f"UPDATE delivery SET state = 'ambiguous', not_before = :at, updated = :at"
        f" WHERE {OPEN_STATES} AND state = 'claimed'",
        {"at": at},
    )
    db.execute(_SUPERSEDE, {"at": at})
    db.execute(WITHDRAW, {"at": at})
    db.execute(GIVE_BACK, {"at": at})
    db.execute(
        "UPDATE delivery SET not_before = NULL, lane = '', updated = :at,"
        " reply = trim('the mail server that may have it is no longer in the settings; ' || reply, '; ')"
        f" WHERE {UNSENT} AND state = 'ambiguous' AND lane NOT IN (SELECT value FROM json_each(:lanes))",
        {"at": at, "lanes": json.dumps([*lanes])},
    )


def claim(db: sqlite3.Connection, limit: int, now: int, paused: str) -> list[Claim]:
    claims: list[Claim] = []
    for notice in db.execute(_OPEN, {"now": now, "paused": paused, "limit": limit}).fetchall():
        (told,) = db.execute(_OWED_OF_NOTICE, (notice["id"], now, limit - len(claims))).fetchone()
        rows = json.loads(told)
        db.execute(_TAKE, {"rows": json.dumps([(notice["id"], row["id"]) for row in rows]), "now": now})
        claims += _claims_of(notice, rows)
        if len(claims) == limit:
            break
    return claims


def _claims_of(row: sqlite3.Row, people: Iterable[Mapping[str, Any]]) -> list[Claim]:
    notice, at = notice_in(row), instant(row["at"])
    session, before = (session_in(row[name]) if row[name] else None for name in ("snapshot", "before"))
    return [
        Claim(
            row["id"],
            notice,
            subscriber_in(one),
            at,
            session,
            one["attempts"],
            bool(one["is_resend"]),
            before,
            one["resends"] + one["is_resend"],
            one["lane"],
        )
        for one in people
    ]


def intending(
    claims: Sequence[Claim], record: Callable[[sqlite3.Connection], None], now: datetime
) -> Callable[[sqlite3.Connection], list[bool]]:
    """The work of `intend`, prepared outside of the transaction: while that is open, every sender waits."""
    at = ms(now)
    keys = [claim.key for claim in claims]
    elsewhere = [(claim.lane, *claim.key) for claim in claims if claim.lane]

    def work(db: sqlite3.Connection) -> list[bool]:
        record(db)
        (told,) = db.execute(_STANDING, {"rows": json.dumps(keys), "now": at}).fetchone()
        standing = set(json.loads(told))
        db.execute(_INTEND, {"rows": json.dumps([keys[n] for n in standing]), "now": at})
        db.executemany(_INTEND_ELSEWHERE, elsewhere)
        return [n in standing for n in range(len(keys))]

    return work


def recording(results: Sequence[Result], now: datetime, *, resend: bool) -> Callable[[sqlite3.Connection], None]:
    """The work of `record`, prepared likewise."""
    at = ms(now)
    rows = [
        (
            *result.claim.key,
            result.state,
            int(result.counts),
            int(result.claim.is_resend and not result.counts),
            ms(result.not_before or now) if _may_be_tried(result, resend=resend) else None,
            result.code,
            result.reply or (None if not result.counts else ""),
        )
        for result in results
    ]
    dead = [(result.claim.subscriber.id, result.reply) for result in results if result.is_dead_address]
    put_off = [
        {"at": at, "notice": result.claim.notice_id, "subscriber": result.claim.subscriber.id}
        for result in results
        if result.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.AMBIGUOUS)
    ]

    def work(db: sqlite3.Connection) -> None:
        if rows:
            db.execute(_RECORD, {"rows": as_json(rows), "now": at})
        of_delivery = "AND notice_id = :notice AND subscriber_id = :subscriber"
        db.executemany(f"{_SUPERSEDE} {of_delivery}", put_off)
        if db.executemany(f"{WITHDRAW} {of_delivery}", put_off).rowcount > 0:
            db.executemany(f"{GIVE_BACK} AND subscriber_id = :subscriber", put_off)
        for subscriber_id, reply in dead:
            block_dead(db, subscriber_id, reply, at, "mail server")

    return work


def _may_be_tried(result: Result, *, resend: bool) -> bool:
    if result.state is DeliveryState.AMBIGUOUS:
        return resend and (result.claim.resends < RESENDS or not result.counts)
    return result.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED)


def expire(db: sqlite3.Connection, now: datetime) -> Ended:
    db.execute("DELETE FROM subscriber WHERE state = 'unconfirmed' AND changed <= ?", (ms(now - CONFIRM_WITHIN),))
    left = db.execute(
        "UPDATE delivery SET state = 'cancelled', reply = 'no longer a subscriber', updated = ?"
        f" WHERE ({UNSENT}) AND subscriber_id IN (SELECT subscriber_id FROM changed)"
        " AND NOT EXISTS (SELECT 1 FROM subscriber s JOIN notice n ON n.id = notice_id"
        f" WHERE s.id = subscriber_id AND {_IS_ADDRESSED})",
        (ms(now),),
    ).rowcount
    # Of a mail that was on the wire when its reader was erased, the answer came after them.
    db.execute(
        "UPDATE delivery SET reply = '' WHERE state IN ('sent', 'failed', 'ambiguous') AND subscriber_id IN"
        " (SELECT subscriber_id FROM changed WHERE subscriber_id NOT IN (SELECT id FROM subscriber))"
    )
    # What is in flight may be put off yet, and then it is to be looked at again.
    db.execute(
        "DELETE FROM changed WHERE NOT EXISTS (SELECT 1 FROM delivery d"
        " WHERE d.subscriber_id = changed.subscriber_id AND d.state = 'in-flight')"
    )
    # What may have arrived stays so: who may have been told is told when the session changes.
    late = db.execute(
        "UPDATE delivery INDEXED BY delivery_owed SET not_before = NULL, updated = :now,"
        " state = iif(state = 'ambiguous' OR resends > 0, 'ambiguous', 'expired'),"
        " reply = trim('its deadline passed; ' || reply, '; ')"
        f" WHERE {UNSENT} AND notice_id IN (SELECT id FROM notice WHERE deadline <= :now)",
        {"now": ms(now)},
    ).rowcount
    tallies.add(db, ms(now))
    return Ended(left, late)


def decide(db: sqlite3.Connection, now: datetime, *, resend: bool) -> int:
    change = (
        "not_before = :now, updated = :now WHERE notice_id IN (SELECT id FROM notice WHERE deadline > :now) AND"
        if resend
        # It keeps its time: then it was most likely sent.
        else f"{_COUNT_AS_SENT} WHERE"
    )
    return db.execute(f"UPDATE delivery SET {change} {UNDECIDED}", {"now": ms(now)}).rowcount


def count_as_sent(db: sqlite3.Connection, until: datetime) -> int:
    return db.execute(
        f"UPDATE delivery SET not_before = NULL, {_COUNT_AS_SENT} WHERE {OPEN_STATES}"
        " AND notice_id IN (SELECT id FROM notice WHERE due <= ?)",
        (ms(until),),
    ).rowcount
