"""What the SQLite ledger promises beside the contract: its file, its versions, its cost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from samples import ADA, BOB, HOURS, LONG_AGO, session
from test_stores import NOW, opening

from notifier.errors import StoreError
from notifier.locks import lock
from notifier.notices import Kind
from notifier.stores import DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.stores.sqlite.schema import SCHEMAS, connect
from notifier.subscribers import Subscriber


async def test_a_claim_and_a_tick_look_at_no_more_rows_than_they_touch(tmp_path: Path) -> None:
    """What a statement steps through is counted by SQLite itself, so that no clock is needed."""
    short, long = [await steps_for(tmp_path / f"{count}.db", count) for count in (1_000, 8_000)]
    assert long <= short * 1.5


async def test_no_start_progress_or_summary_looks_at_what_the_years_have_settled(tmp_path: Path) -> None:
    young, old = [await steps_for(tmp_path / f"{count}.db", count, is_past=True) for count in (1_000, 8_000)]
    assert old <= young * 1.5


async def steps_for(path: Path, count: int, *, is_past: bool = False) -> int:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    store = await SqliteStore.open(path)
    await store.subscribe([Subscriber(f"p{n}@example.org") for n in range(count)], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    await store.expire(NOW)
    if is_past:
        store._connection.executescript("UPDATE delivery SET state = 'sent'; UPDATE notice SET deadline = 0;")
        store._connection.execute("DELETE FROM subscriber WHERE id > 100")
        await store.settle([opening(generation=2)], session(), NOW)
        await store.expire(NOW)
    store._connection.set_progress_handler(step, 100)
    claims = await store.claim(100, NOW)
    await store.intend(claims[:50], NOW, [Result(claim, DeliveryState.SENT) for claim in claims[50:]])
    await store.expire(NOW)
    if is_past:
        await store.begin(NOW, ())
        assert [one.total for one in await store.progress()] == [100]
        assert (await store.summary(NOW)).deliveries["sent"] == count + 50
    await store.close()
    return steps


async def test_a_store_of_the_first_version_is_taken_over_whole(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as db:
        db.executescript(f"{SCHEMAS[0]} PRAGMA user_version = 1;")
        db.execute(
            "INSERT INTO subscriber"
            " VALUES (7, 'ada@example.org', 'Ada@example.org', 'Ada', 'zh', '', 'confirmed', 0, 0)"
        )
        db.execute("INSERT INTO lead VALUES (7, 3600)")
    db.close()
    with pytest.raises(StoreError, match="older version"):
        await SqliteStore.open(path, read_only=True)
    store = await SqliteStore.open(path)
    asked_for_no_replays = frozenset({Kind.REPLAY})
    ada = replace(ADA, address="Ada@example.org", leads=(HOURS,), id=7, declined=asked_for_no_replays)
    assert await store.subscribers() == [ada]
    await store.erase(7, NOW)
    await store.subscribe([BOB], NOW)
    assert [one.id for one in await store.subscribers()] == [8]
    await store.close()


async def test_a_damaged_or_newer_file_is_refused_with_words(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"damaged\.db: the store cannot be used"):
        await SqliteStore.open(damaged)
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        await SqliteStore.open(newer)


async def test_a_new_store_is_its_owner_s_alone(tmp_path: Path) -> None:
    """It holds addresses, and the keys that sign links. Who widens it for a backup is left to it."""
    path = tmp_path / "notifier.db"
    store = await SqliteStore.open(path)
    await store.subscribe([ADA], NOW)
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == {
        "notifier.db": "0o600", "notifier.db-shm": "0o600", "notifier.db-wal": "0o600",
    }  # fmt: skip
    await store.close()
    path.chmod(0o640)
    await (await SqliteStore.open(path)).close()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a file to somebody else and be them")
@pytest.mark.parametrize("name", ["notifier.db", "notifier.lock"])
def test_a_file_of_another_user_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As after root put a backup back, or ran a command in the daemon's place."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch(0o600)
    said: list[str] = []

    def act() -> None:
        with pytest.raises(StoreError) as refused:
            connect(name, False) if name.endswith(".db") else lock(name)
        said.append(str(refused.value))

    as_nobody(act)
    assert said == [f"{name}: this user may not write it; give it to this user, with chown"]


def as_nobody(act: Callable[[], None]) -> None:
    os.seteuid(65534)
    try:
        act()
    finally:
        os.seteuid(0)


async def test_a_reader_stands_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    writer = await SqliteStore.open(path)
    await writer.begin(LONG_AGO, ())
    reader = await SqliteStore.open(path, read_only=True)
    await writer.subscribe([ADA], NOW)
    assert [one.address for one in await reader.subscribers()] == [ADA.address]
    await reader.close()
    await writer.close()


async def test_a_store_that_fails_says_so_in_words(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.note({"max": "1"})
    await store._run(lambda db: db.execute("PRAGMA max_page_count = 1"))  # a full disk, as SQLite sees it
    with pytest.raises(StoreError, match="the store failed: database or disk is full"):
        await store.note({f"fact {n}": "x" * 10_000 for n in range(100)})
    assert await store.fact("max") == "1"
    await store.close()


async def test_what_was_derived_is_not_asked_for_again_until_something_changes(tmp_path, monkeypatch):
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.begin(NOW, ())
    asked = []
    run = store._run

    async def noted(work):
        asked.append(work)
        return await run(work)

    assert await store.fact("hold") == ""
    facts = await store.facts()
    monkeypatch.setattr(store, "_run", noted)
    assert (await store.fact("hold"), await store.facts()) == ("", facts)
    assert asked == []
    await store.expire(NOW)  # which finds nothing
    assert await store.fact("hold") == ""
    assert len(asked) == 1
    await store.note({"hold": "a reason"})
    assert await store.fact("hold") == "a reason"
    await store.close()


async def test_who_only_reads_beside_a_daemon_sees_what_it_writes(tmp_path):
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.begin(NOW, ())
    beside = await SqliteStore.open(tmp_path / "notifier.db", read_only=True)
    for reason in ("", "a reason", "another"):
        await store.note({"hold": reason})
        assert await beside.fact("hold") == reason
    await beside.close()
    await store.close()
