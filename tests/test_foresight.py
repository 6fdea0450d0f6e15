"""The daemon's own look ahead: with a slow mail server a reminder begins early, once, whatever the limits do then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from samples import ADA, DAYS, HOURS, LONG_AGO, START, seminar, session

from notifier.foresight import decided
from notifier.notices import Decision, Kind, Rules, Verdict
from notifier.rates import Limits
from notifier.stores.sqlite import SqliteStore
from notifier.verdicts import rule_names

SLOW = Limits(per_minute=1)
PEOPLE = 120
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.begin(LONG_AGO, rule_names(Rules()))
    await store.subscribe([replace(ADA, address=f"p{n}@example.org") for n in range(PEOPLE)], LONG_AGO)
    yield store
    await store.close()


async def look(store: SqliteStore, now: datetime, limits: Limits) -> list[Decision]:
    """What is opened at this look."""
    decisions = await decided(store, seminar(), Rules(), await store.facts(), limits, now)
    opened = [d for d in decisions if d.verdict is Verdict.OPEN]
    await store.settle([d for d in decisions if d.verdict not in (Verdict.WAITING, Verdict.DONE)], session(), now)
    return opened


async def test_a_reminder_begins_early_by_what_the_last_one_would_be_late(store: SqliteStore) -> None:
    decisions = await decided(store, seminar(), Rules(), await store.facts(), SLOW, START - 30 * HOURS)
    due = {d.notice.rule: d.notice.due for d in decisions}
    assert due["reminder-1d"] == START - DAYS  # eight hours are enough for 120
    assert due["reminder-1h"] == START - HOURS - 79 * MINUTE  # two hours less a minute, and forty minutes are allowed


async def test_nobody_is_reminded_twice_whatever_the_limits_become(store: SqliteStore) -> None:
    opened, now = [], START - 30 * HOURS
    while now < START:
        limits = (SLOW, Limits(), Limits(per_hour=7))[now.minute // 20]
        opened += [d.notice.rule for d in await look(store, now, limits) if d.notice.kind is Kind.REMINDER]
        now += 10 * MINUTE
    assert sorted(opened) == ["reminder-1d", "reminder-1h"]


async def test_without_limits_nothing_begins_early(store: SqliteStore) -> None:
    decisions = await decided(store, seminar(), Rules(), await store.facts(), Limits(), START - 30 * HOURS)
    assert not any(d.notice.head_start for d in decisions)
