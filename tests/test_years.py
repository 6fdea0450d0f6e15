"""What years bring to a daemon: clocks that are wrong, and set right; a summer without mail."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from house import DUE, PEOPLE, SECOND, TALKS, House

from notifier import clock, daemon
from notifier.errors import NotifierError, Problem, StoreError


async def test_a_clock_that_was_set_back_lets_nothing_sleep_until_it_has_caught_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "HEARTBEAT", timedelta(seconds=0.2))
    monkeypatch.setattr(daemon, "OVERSLEPT", timedelta(seconds=3))
    (house.folder / "bounces").mkdir()
    house.more = f'[bounces]\nmaildir = "{house.folder}/bounces"'
    await house.start()
    life = house.daemon
    assert life is not None
    scheduler = life._scheduler
    for name in ("tick", "collect"):  # as they stand after a clock that was a day ahead
        scheduler.modify_job(name, next_run_time=datetime.now(UTC) + timedelta(days=1))
    soon = datetime.now(UTC) + timedelta(hours=1)
    await house.until(lambda: all(scheduler.get_job(name).next_run_time < soon for name in ("tick", "collect")))
    scheduler.remove_job("collect")
    before = life._reconciled
    await house.until(lambda: life._reconciled > before)


async def test_nothing_is_published_by_a_clock_that_is_not_believed(house: House) -> None:
    await house.start()
    right, published = house.now, (await house.get("/")).text
    house.now += timedelta(days=3652)
    await house.reconciled()
    assert "leapt ahead" in house.hold
    house.write_list(TALKS.replace('"09:30-11:30"', '"10:30-12:30"'))
    for _ in range(4):
        house.now += SECOND
        await house.reconciled()
    with pytest.raises(NotifierError, match="leapt ahead"):
        await house.ask({"do": "reload", "accept_removals": False})
    assert (await house.get("/")).text == published
    house.now = right
    await house.edit("10:30-12:30", "11:00-13:00")
    session = house.seminar.session("2021-11-27")
    assert session is not None
    assert session.modified is not None
    assert session.modified < right + timedelta(hours=1)


async def test_a_page_from_a_clock_that_was_ahead_does_not_stay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STABLE", timedelta(seconds=1))
    await house.start()
    published, snapshot = (await house.get("/")).text, house.snapshot
    house.now += timedelta(hours=23)
    await house.until(lambda: house.snapshot is not snapshot)
    assert (await house.get("/")).text != published
    house.now -= timedelta(hours=23)
    ahead = house.snapshot
    await house.until(lambda: house.snapshot is not ahead)
    assert (await house.get("/")).text == published


async def test_the_log_says_once_that_nothing_is_sent(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await house.start()
    await house.ask({"do": "hold", "reason": "for the summer"})
    for _ in range(3):
        await house.reconciled()
    await house.ask({"do": "release"})
    await house.reconciled()
    said = [message for message in caplog.messages if "sent" in message]
    assert said == ["nothing is sent: for the summer", "what is due is sent again"]


async def test_a_store_that_cannot_be_written_is_told_of_once_and_in_status(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.start()
    life = house.daemon
    assert life is not None

    async def full(*_: object) -> None:
        raise StoreError(Problem("the store failed: database or disk is full", "make room"))

    with monkeypatch.context() as disk:
        disk.setattr(life._store, "expire", full)
        for _ in range(3):
            life.wake()
            await house.until(lambda: bool(life._store_trouble))
            await asyncio.sleep(0.1)
        assert (await house.ask({"do": "status"}))["trouble"] == {
            "store": "the store failed: database or disk is full; make room"
        }
    assert "cannot be written" in str((await house.arrived(1))[0]["Subject"])
    await house.reconciled()
    assert (await house.ask({"do": "status"}))["trouble"] == {}
    assert [record.levelname for record in caplog.records if "disk is full" in record.getMessage()] == ["ERROR"]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("is_due", [False, True])
async def test_a_clock_that_was_ahead_for_a_moment_gives_up_no_mail(house: House, is_due: bool) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    assert house.daemon is not None
    await house.daemon._store.note({"hold": "a person wants to look first"})
    for now in (DUE + SECOND if is_due else house.now, DUE + timedelta(hours=9), DUE + 2 * SECOND):
        house.now = now
        for _ in range(3):
            await house.reconciled()
    await house.daemon._store.note({"hold": ""})
    await house.reconciled()
    assert len(await house.arrived(3)) == 3
