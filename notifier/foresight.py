"""The rules and the ledger → what is due, with reminders begun as early as the mail server's limits demand."""

from __future__ import annotations

from datetime import datetime, timedelta

from notifier import verdicts
from notifier.notices import Decision, Facts, Kind, Rules, Verdict
from notifier.rates import Limits, duration
from notifier.stores import Store
from notifier.talks import Seminar

AHEAD = timedelta(days=2)  # further ahead nothing begins early yet


async def decided(
    store: Store | None,
    seminar: Seminar,
    rules: Rules,
    facts: Facts,
    limits: Limits,
    now: datetime,
    *,
    ahead: timedelta = AHEAD,
) -> tuple[Decision, ...]:
    """What `verdicts.decide` says, where a mailing takes as long as its people and the limits make it.

    Nothing of this is kept: with more people, or other limits, the next look gives other head starts.
    """
    decisions = verdicts.decide(seminar, rules, facts, now)
    if store is None or not limits:
        return decisions
    coming = [
        d.notice
        for d in decisions
        if d.verdict is Verdict.WAITING
        and d.notice.kind in (Kind.REMINDER, Kind.ANNOUNCEMENT)
        and d.notice.due <= now + ahead + verdicts.HEAD_START
    ]
    people = await store.counts(coming, seminar)
    durations = [(notice, duration(limits, count)) for notice, count in zip(coming, people, strict=True)]
    head_starts = verdicts.needed_head_starts(durations)
    return verdicts.decide(seminar, rules, facts, now, head_starts) if head_starts else decisions
