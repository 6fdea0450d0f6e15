"""Seminar + rules + facts → what was due and never settled: nothing, as long as the promise is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from notifier import verdicts
from notifier.notices import Decision, Facts, Rules, Verdict
from notifier.talks import Seminar, Session
from notifier.verdicts import LOOK_BACK

_MOMENT = timedelta(seconds=1)


def unsettled(seminar: Seminar, rules: Rules, facts: Facts, until: datetime) -> tuple[Decision, ...]:
    """Every notice that should have opened, and has no entry in the ledger, which was kept until then.

    By the rules as they are now. Of a session that was edited when it was long past, or since the ledger was kept, it
    cannot be said. Whatever has a reason not to open needs no entry.
    """
    found = (d for session in seminar.sessions for d in _of_session(seminar, session, rules, facts, until))
    return tuple(sorted(found, key=lambda d: (d.notice.due, d.notice.key)))


def _of_session(seminar: Seminar, session: Session, rules: Rules, facts: Facts, until: datetime) -> Iterator[Decision]:
    last_look = session.end + LOOK_BACK - _MOMENT
    known = [at for at in (session.created, session.edited or session.modified) if at is not None]
    at = min(until, last_look)
    if max(known, default=facts.baseline) > at:
        return
    if last_look < until:
        facts = replace(facts, leads=frozenset())  # who chose which lead times then, nobody knows
    for decision in verdicts.decide(replace(seminar, sessions=(session,)), rules, facts, at):
        if decision.verdict in (Verdict.OPEN, Verdict.EXPIRED):
            yield decision
