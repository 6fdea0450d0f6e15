"""A talk list that is watched, on a real disk and on a real server."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_files import without_root
from webserver import page, web_server

from notifier import files
from notifier import watched as watched_module
from notifier.errors import SourceError
from notifier.watched import SETTLE, Watched

NOW = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
SECONDS = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)
DAYS = timedelta(days=1)


@pytest.fixture
def web(monkeypatch) -> Iterator[SimpleNamespace]:
    with web_server(monkeypatch) as place:
        yield place


@pytest.fixture
def talk_list(tmp_path) -> Path:
    path = tmp_path / "talks.toml"
    path.write_bytes(b"one")
    return path


def watched(source: object) -> Watched:
    return Watched(str(source), every=10 * MINUTES)


async def polls(source: Watched, *seconds: float, start: datetime = NOW) -> list[bytes | None]:
    return [await source.poll(start + s * SECONDS) for s in seconds]


async def test_a_drive_that_hangs_holds_up_nothing_and_is_told_of_once(talk_list, monkeypatch):
    monkeypatch.setattr(watched_module, "PATIENCE", timedelta(seconds=0.2))
    source = watched(talk_list)
    assert await polls(source, 0, 3) == [None, b"one"]
    comes_back, looks, stamp = threading.Event(), [], watched_module._stamp

    def hang(path: Path) -> object:
        looks.append(path)
        comes_back.wait(60)
        return stamp(path)

    with monkeypatch.context() as drive:
        drive.setattr(watched_module, "_stamp", hang)
        assert await polls(source, 20) == [None]
        with pytest.raises(SourceError, match="its disk does not answer"):
            await source.poll(NOW + 23 * SECONDS)
        assert await polls(source, 26, 46, 66) == [None, None, None]
        with pytest.raises(SourceError, match="its disk does not answer"):
            await source.read()
    assert looks == [talk_list]
    talk_list.write_bytes(b"two")
    comes_back.set()
    source._source._hanging.join()
    assert await polls(source, 80, 83) == [None, b"two"]


async def test_a_file_is_given_once_it_was_the_same_at_two_looks_two_seconds_apart(talk_list):
    assert await polls(watched(talk_list), 0, 1, 1.9, 2, 3, 20) == [None, None, None, b"one", None, None]


async def test_a_file_that_grows_is_given_only_when_it_is_whole(talk_list):
    source, given = watched(talk_list), []
    for second in range(10):
        if second < 6:
            with talk_list.open("ab") as file:
                file.write(b"!")
        given.append(await source.poll(NOW + second * SECONDS))
    assert given == [None] * 7 + [b"one!!!!!!", None, None]


async def test_a_file_given_by_read_is_not_given_again_by_poll(talk_list):
    source = watched(talk_list)
    assert await source.read() == b"one"
    assert await polls(source, 0, 2, 4) == [None, None, None]
    assert await source.read() == b"one"


async def test_a_file_touched_or_saved_anew_with_the_same_text_is_not_given_again(talk_list):
    source = watched(talk_list)
    await polls(source, 0, 2)
    os.utime(talk_list, (1, 1))
    assert await polls(source, 4, 6) == [None, None]
    files.write_atomically(talk_list, b"one", overwrite=True)
    assert await polls(source, 8, 10) == [None, None]


async def test_a_change_of_the_same_size_with_the_old_time_set_back_is_seen(talk_list):
    source = watched(talk_list)
    await polls(source, 0, 2)
    before = talk_list.stat()
    talk_list.write_bytes(b"two")
    os.utime(talk_list, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await polls(source, 4, 6) == [None, b"two"]


async def test_a_change_behind_a_symbolic_link_is_seen(tmp_path, talk_list):
    (tmp_path / "current").symlink_to(talk_list)
    source = watched(tmp_path / "current")
    await polls(source, 0, 2)
    talk_list.write_bytes(b"two")
    assert await polls(source, 4, 6) == [None, b"two"]


async def test_a_vanished_file_is_told_of_once_and_given_when_it_is_back(talk_list):
    source = watched(talk_list)
    await polls(source, 0, 2)
    talk_list.unlink()
    assert await polls(source, 4) == [None]
    with pytest.raises(SourceError) as caught:
        await source.poll(NOW + 6 * SECONDS)
    assert str(caught.value) == f"{talk_list}: there is no such file; mend the path, or put the file there"
    assert await polls(source, 8, 10, 3600) == [None, None, None]
    talk_list.write_bytes(b"one")
    assert await polls(source, 3604, 3606, 3608) == [None, b"one", None]
    talk_list.unlink()
    await polls(source, 3610)
    with pytest.raises(SourceError, match="no such file"):
        await source.poll(NOW + 3612 * SECONDS)


async def test_the_very_same_file_is_given_again_when_a_trouble_is_over(tmp_path, talk_list):
    link = tmp_path / "current"
    link.symlink_to(talk_list)
    source = watched(link)
    await polls(source, 0, 2)
    link.unlink()
    await polls(source, 4)
    with pytest.raises(SourceError):
        await source.poll(NOW + 6 * SECONDS)
    link.symlink_to(talk_list)
    assert await polls(source, 8, 10, 12) == [None, b"one", None]


async def test_a_file_that_is_away_for_a_moment_while_an_editor_saves_is_no_trouble(talk_list):
    source = watched(talk_list)
    await polls(source, 0, 2)
    talk_list.unlink()
    assert await polls(source, 4) == [None]
    talk_list.write_bytes(b"two")
    assert await polls(source, 5, 7) == [None, b"two"]


async def test_another_trouble_is_told_of_too(talk_list):
    source = watched(talk_list)
    talk_list.unlink()
    await polls(source, 0)
    with pytest.raises(SourceError, match="no such file"):
        await source.poll(NOW + 2 * SECONDS)
    talk_list.mkdir()
    await polls(source, 4)
    with pytest.raises(SourceError, match="this is a folder"):
        await source.poll(NOW + 6 * SECONDS)


async def test_a_pipe_for_a_talk_list_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="no regular file; name the file itself"):
        await watched(tmp_path / "pipe").read()


async def test_a_file_that_may_not_be_read_is_trouble_until_it_may(talk_list):
    source = watched(talk_list)
    talk_list.chmod(0)
    with without_root(talk_list.parent):
        await polls(source, 0)
        with pytest.raises(SourceError, match="may not be read by this user"):
            await source.poll(NOW + 2 * SECONDS)
    talk_list.chmod(0o644)
    assert await polls(source, 4, 6) == [None, b"one"]


async def test_a_clock_that_is_set_back_delays_no_change(talk_list):
    source = watched(talk_list)
    await polls(source, 0, 2)
    talk_list.write_bytes(b"two")
    assert await polls(source, 4, start=NOW) == [None]
    assert await polls(source, 0, start=NOW - 365 * DAYS) == [b"two"]


@given(st.lists(st.sampled_from(["write", "append", "unlink", "touch", "look"]), max_size=30))
async def test_whatever_happens_to_a_file_it_is_given_in_the_end_and_never_twice(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("watched") / "talks.toml"
    source, given_texts = watched(path), []
    for number, step in enumerate([*steps, "append", "look", "look", "look"]):
        match step:
            case "write":
                path.write_text(f"list {number}")
            case "append":
                with path.open("a") as file:
                    file.write(f"+{number}")
            case "unlink":
                path.unlink(missing_ok=True)
                given_texts.append("")  # after a trouble the same text may be given again
            case "touch":
                path.touch()
            case "look":
                try:
                    data = await source.poll(NOW + number * SETTLE_AND_MORE)
                except SourceError:
                    continue
                if data is not None:
                    given_texts.append(data.decode())
    assert given_texts[-1] == path.read_text()
    assert all(one != next_one or one == "" for one, next_one in itertools.pairwise(given_texts))


SETTLE_AND_MORE = SETTLE + SECONDS


async def test_a_page_is_given_when_it_changed_and_asked_for_at_its_interval_only(web):
    source = watched(web.url)
    assert await polls(source, 0, 1, 599) == [b"one", None, None]
    web.answer = page(b"two")
    assert await polls(source, 600, 1199, 1200) == [b"two", None, None]
    assert len(web.asked) == 3


async def test_an_unchanged_page_costs_an_answer_304(web):
    web.answer = page(b"one", ETag='"1"', Last_Modified="Sat, 27 Nov 2021 01:30:00 GMT")
    source = watched(web.url)
    assert await polls(source, 0) == [b"one"]
    web.answer = page(b"", 304)
    assert await polls(source, 600, 1200) == [None, None]
    asked = [(h.get("If-None-Match"), h.get("If-Modified-Since")) for _, h in web.asked]
    assert asked == [(None, None)] + [('"1"', "Sat, 27 Nov 2021 01:30:00 GMT")] * 2


async def test_a_page_given_by_read_is_not_given_again_by_poll(web):
    web.answer = page(b"one", ETag='"1"')
    source = watched(web.url)
    assert await source.read() == b"one"
    assert await polls(source, 0) == [None]
    assert web.asked[1][1]["If-None-Match"] == '"1"'


async def test_a_304_that_nobody_asked_for_is_refused(web):
    web.answer = page(b"", 304)
    with pytest.raises(SourceError, match="the server answers 304"):
        await watched(web.url).read()
    with pytest.raises(SourceError, match="the server answers 304"):
        await watched(web.url).poll(NOW)


async def test_a_failing_page_is_told_of_once_asked_for_ever_more_rarely_and_given_when_it_is_back(web):
    source = watched(web.url)
    web.answer = page(b"one", ETag='"1"')
    await polls(source, 0)
    web.answer = page(b"", 500)
    with pytest.raises(SourceError):
        await source.poll(NOW + 10 * MINUTES)
    for minutes in range(11, 24 * 60):
        assert await source.poll(NOW + minutes * MINUTES) is None
    assert len(web.asked) == 2 + 2 + 22  # after 20, then 40, then every 60 minutes
    web.answer = page(b"one", ETag='"1"')
    assert await polls(source, 0, 600, 660, start=NOW + 25 * 60 * MINUTES) == [b"one", None, None]
    assert "If-None-Match" not in web.asked[-2][1]
    assert len(web.asked) == 28


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7200", 120 * MINUTES),
        ("Sat, 27 Nov 2021 03:30:00 GMT", 120 * MINUTES),
        ("Sat, 27 Nov 2021 03:30:00 -0000", 120 * MINUTES),
        ("9" * 30, DAYS),
        ("9" * 5000, 20 * MINUTES),
        ("Sat, 01 Jan 2050 00:00:00 GMT", DAYS),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 20 * MINUTES),
        ("1", 20 * MINUTES),
        ("soon", 20 * MINUTES),
        ("²", 20 * MINUTES),
    ],
)
async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks_within_reason(web, value, pause):
    web.answer = page(b"", 503, Retry_After=value)
    source = watched(web.url)
    with pytest.raises(SourceError):
        await source.poll(NOW)
    await source.poll(NOW + pause - SECONDS)
    assert len(web.asked) == 1
    await source.poll(NOW + pause)
    assert len(web.asked) == 2


async def test_a_clock_that_is_set_back_does_not_stop_the_asking(web):
    source = watched(web.url)
    assert await polls(source, 0) == [b"one"]
    web.answer = page(b"two")
    assert await polls(source, 0, start=NOW - 365 * DAYS) == [b"two"]
