"""A talk list on the disk, a real ledger, and what is published of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from house import TALKS
from samples import DAYS, START

from notifier import pages, settings, wiring
from notifier.errors import NotifierError, Problem, SourceError, StoreError, TalkListError
from notifier.pages import Snapshot
from notifier.publisher import OLD_STORE, Publisher
from notifier.watched import SETTLE

MOVED = TALKS.replace("date = 2021-11-27", "date = 2021-11-28")


class Press:
    """A publisher, the folder of its list and store, its clock, and what it showed and complained of."""

    def __init__(self, folder: Path) -> None:
        self.config = settings.parse("[store]\npath = 'notifier.db'", folder=folder)
        self.list = folder / "talks.toml"
        self.now = START - 2 * DAYS
        self.shown: list[Snapshot] = []
        self.complaints: list[str] = []

    async def begin(self) -> None:
        self.store = await wiring.open_store(self.config)
        self.publisher = Publisher(
            self.config,
            self.store,
            templates=wiring.page_templates(self.config),
            now=lambda: self.now,
            show=self.shown.append,
            complain=self._complain,
        )
        try:
            await self.publisher.begin(self.now)
        except NotifierError:
            await self.store.close()
            raise

    def _complain(self, subject: str, problems: Iterable[Problem]) -> None:
        self.complaints += [str(one).removeprefix(str(self.list)) for one in problems]

    async def begin_anew(self) -> None:
        await self.store.close()
        await self.begin()

    async def look(self) -> None:
        """Twice, for a list that may still be written to is not read."""
        for _ in range(2):
            self.now += SETTLE
            await self.publisher.look(self.now)

    @property
    def starts(self) -> list[datetime]:
        """Of the sessions that are published."""
        return [one.start for one in self.publisher.seminar.sessions]

    @property
    def revision(self) -> int:
        (one,) = self.publisher.seminar.sessions
        return one.revision


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    press = Press(tmp_path)
    press.list.write_text(TALKS, encoding="utf-8")
    await press.begin()
    yield press
    await press.store.close()


def feed(press: Press) -> bytes:
    return press.shown[-1].ready["/calendar.ics"].body


async def test_what_the_list_says_is_shown_when_it_begins_and_when_it_has_changed(press: Press) -> None:
    assert (len(press.shown), press.starts) == (1, [START])
    await press.look()
    assert len(press.shown) == 1
    press.list.write_text(MOVED, encoding="utf-8")
    await press.look()
    assert (len(press.shown), press.starts, press.revision) == (2, [START + DAYS], 1)
    assert press.shown[-1] is press.publisher.snapshot
    assert b"20211128T093000" in feed(press)


@pytest.mark.parametrize("broken", ["[[session]\n", "", TALKS[: TALKS.index("[[session]]")]])
async def test_a_list_that_is_refused_changes_nothing_and_is_complained_of_once(press: Press, broken: str) -> None:
    press.list.write_text(broken, encoding="utf-8")
    for _ in range(3):
        await press.look()
    assert (len(press.shown), press.starts) == (1, [START])
    assert press.complaints == [str(one).removeprefix(str(press.list)) for one in press.publisher.problems] != []
    press.list.write_text(TALKS, encoding="utf-8")
    await press.look()
    assert press.publisher.problems == ()


async def test_a_start_with_a_list_that_is_refused_shows_the_last_good_one(press: Press) -> None:
    press.list.write_text("[[session]\n", encoding="utf-8")
    await press.begin_anew()
    assert (len(press.shown), press.starts, press.revision) == (2, [START], 0)
    assert press.publisher.problems != ()


async def test_a_first_start_needs_a_list(tmp_path: Path) -> None:
    press = Press(tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        await press.begin()
    assert press.shown == []


@pytest.mark.parametrize("fails", ["keep", "witness", "render", "note"])
async def test_what_could_not_be_kept_or_rendered_is_published_when_it_can_be(
    press: Press, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, name = {
        "keep": (press.store, "accept"),
        "witness": (press.publisher._witness, "note"),
        "render": (pages, "build"),
        "note": (press.store, "publish"),
    }[fails]

    def full(*_: Any, **__: Any) -> None:
        raise StoreError(Problem("database or disk is full", "look at the disk"))

    press.list.write_text(MOVED, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(of, name, full)
        await press.look()
        assert len(press.shown) == 1
        assert "database or disk is full; look at the disk" in press.complaints
    await press.look()
    assert (len(press.shown), press.starts, press.revision, press.publisher.problems) == (2, [START + DAYS], 1, ())


async def test_pages_are_rendered_anew_when_they_would_be_others(press: Press) -> None:
    until = press.shown[0].until
    press.now = until - timedelta(seconds=1)
    await press.publisher.look(press.now)
    assert len(press.shown) == 1
    press.now = until
    await press.publisher.look(press.now)
    assert len(press.shown) == 2


async def test_what_vanished_goes_when_a_person_says_so(press: Press) -> None:
    again = TALKS[TALKS.index("[[session]]") :].replace("2021-11-27", "2021-12-11")
    press.list.write_text(TALKS + again, encoding="utf-8")
    assert await press.publisher.reload() == "1 new"
    press.list.write_text(TALKS, encoding="utf-8")
    with pytest.raises(TalkListError, match="2021-12-11"):
        await press.publisher.reload()
    assert len(press.starts) == 2
    await press.publisher.reload(allow_removals=True)
    assert press.starts == [START]


async def test_a_store_without_what_was_published_takes_nothing_back_and_sends_nothing(press: Press) -> None:
    await press.store.close()
    old = press.config.store.path.read_bytes()
    await press.begin()
    press.list.write_text(MOVED, encoding="utf-8")
    await press.look()
    published = feed(press)
    await press.store.close()
    press.config.store.path.write_bytes(old)
    await press.begin()
    assert (feed(press), await press.store.fact("hold")) == (published, OLD_STORE)


async def test_settings_that_show_in_every_event_are_a_revision_also_of_a_list_that_is_refused(press: Press) -> None:
    press.list.write_text("[[session]\n", encoding="utf-8")
    press.config = settings.parse(
        "[store]\npath = 'notifier.db'\n[server]\nbase_url = 'https://elsewhere.example'", folder=press.list.parent
    )
    await press.begin_anew()
    assert press.revision == 1
    await press.begin_anew()
    assert press.revision == 1


async def test_what_is_in_the_ledger_is_what_is_published(press: Press) -> None:
    press.list.write_text(MOVED, encoding="utf-8")
    await press.look()
    assert await press.store.accepted() == press.publisher.accepted
