"""Files, pages, templates, the watched talk list and the lock, on a real disk and against a real server."""

from __future__ import annotations

import http.server
import io
import itertools
import os
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from notifier import __version__, files
from notifier.errors import NotifierError, Problem, SourceError, StoreError, StoreLocked, TemplateError
from notifier.files import Watched

NOW = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
SECONDS = timedelta(seconds=1)
MINUTES = timedelta(minutes=1)
DAYS = timedelta(days=1)


def problem_of(error: NotifierError) -> Problem:
    (problem,) = error.problems
    return problem


@contextmanager
def without_root(folder: Path) -> Iterator[None]:
    """Runs the block as nobody, who may enter the folder, where the tests run as root, whom no mode keeps out."""
    if os.geteuid() != 0:
        yield
        return
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# --- what is shipped -------------------------------------------------------------------------------------------------


def test_shipped_templates_are_named_by_their_path_in_the_templates_folder():
    pages = files.shipped("pages")
    assert pages["pages/index.html"].startswith("{%")
    assert {name.split("/")[0] for name in pages} == {"pages"}
    assert {name: text for name, text in files.shipped().items() if name.startswith("pages/")} == pages


def test_the_example_config_is_found_wherever_the_package_lies():
    assert files.example_config().startswith("#")


def test_overrides_are_the_texts_of_a_folder_without_what_editors_leave(tmp_path):
    for name in ("mail/reminder.txt", "mail/reminder.txt~", ".git/config", "mail/.reminder.txt.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes("\ufeff你好\r\n".encode())
    assert files.overrides(tmp_path) == {"mail/reminder.txt": "你好\n"}


def test_overrides_say_every_file_that_is_no_text(tmp_path):
    for name in ("logo.png", "old.txt"):
        (tmp_path / name).write_bytes(b"\x89PNG")
    with pytest.raises(TemplateError) as caught:
        files.overrides(tmp_path)
    assert [p.source for p in caught.value.problems] == [f"{tmp_path}/logo.png", f"{tmp_path}/old.txt"]


def test_overrides_of_a_missing_folder_are_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError) as caught:
        files.overrides(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path}/none: there is no such folder; make it, or mend the path"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_read_gives_the_bytes_of_the_file(tmp_path):
    (tmp_path / "talks.toml").write_bytes(b"\x00\xff\r\n")
    assert files.read(tmp_path / "talks.toml") == b"\x00\xff\r\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.toml", "there is no such file; mend the path, or put the file there"),
        ("", "this is a folder; name the file in it"),
        ("a-file/talks.toml", "it cannot be read: Not a directory; mend the path or the disk"),
        ("loop", "it cannot be read: Too many levels of symbolic links; mend the path or the disk"),
        ("nul\0", "it cannot be read: embedded null byte; mend the path or the disk"),
        ("n" * 300, "it cannot be read: File name too long; mend the path or the disk"),
    ],
)
def test_read_says_what_is_wrong_and_what_to_do(tmp_path, name, message):
    (tmp_path / "a-file").touch()
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / name
    with pytest.raises(SourceError) as caught:
        files.read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_read_says_that_a_file_is_not_ours_to_read(tmp_path):
    (tmp_path / "secret.toml").touch(mode=0)
    with without_root(tmp_path), pytest.raises(SourceError) as caught:
        files.read(tmp_path / "secret.toml")
    assert str(caught.value) == (
        f"{tmp_path}/secret.toml: it may not be read by this user; give read permission, also on its folders"
    )


def test_read_refuses_more_than_50_mb_without_reading_it_all(tmp_path):
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(10**12)  # sparse: it would fill any memory
    for path in (tmp_path / "disk.img", Path("/dev/zero")):
        with pytest.raises(SourceError) as caught:
            files.read(path)
        message = "it is larger than 50 MB; no talk list is; name the right file"
        assert str(caught.value) == f"{path}: {message}"


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Time: \xff")))
    assert files.read("-") == b"Time: \xff"


def test_a_closed_standard_input_is_an_error_with_words():
    code = "from notifier import files; files.read('-')"
    run = subprocess.run(["sh", "-c", f'exec "{sys.executable}" -c "{code}" <&-'], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        "notifier.errors.SourceError: standard input: it cannot be read: standard input is closed; "
        "mend the path or the disk"
    )


# --- writing ---------------------------------------------------------------------------------------------------------


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_is_read_back_byte_for_byte(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    files.write_atomically(path, text, overwrite=True)
    assert files.read(path) == text.encode()


def test_writing_leaves_nothing_else_in_the_folder(tmp_path):
    files.write_atomically(tmp_path / "feed.ics", b"BEGIN", overwrite=False)
    files.write_atomically(tmp_path / "feed.ics", b"END", overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"feed.ics": b"END"}


def test_writing_never_overwrites_unless_told(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("mine")
    with pytest.raises(NotifierError) as caught:
        files.write_atomically(path, "yours", overwrite=False)
    assert str(caught.value) == f"{path}: there is such a file already; move it away, or choose another name"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"config.toml": "mine"}


def test_of_many_who_write_a_new_file_at_once_exactly_one_does(tmp_path):
    path, start = tmp_path / "config.toml", threading.Barrier(8)
    written = []

    def write(number: int) -> None:
        start.wait()
        try:
            files.write_atomically(path, str(number), overwrite=False)
        except NotifierError:
            return
        written.append(str(number))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [path.read_text()]


def test_an_overwritten_file_keeps_its_mode_and_a_new_one_has_the_usual(tmp_path):
    secret, usual, new = tmp_path / "secret.toml", tmp_path / "usual.toml", tmp_path / "new.toml"
    secret.touch(mode=0o600)
    usual.touch()
    files.write_atomically(secret, "x", overwrite=True)
    files.write_atomically(new, "x", overwrite=True)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert new.stat().st_mode == usual.stat().st_mode


def test_a_file_that_another_overwrites_still_belongs_to_its_owner_where_that_is_possible(tmp_path):
    path = tmp_path / "talks.toml"
    path.touch()
    owner = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getgroups()[-1])
    os.chown(path, *owner)
    files.write_atomically(path, "x", overwrite=True)
    assert (path.stat().st_uid, path.stat().st_gid) == owner


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real.toml").write_text("old")
    (tmp_path / "link.toml").symlink_to("real.toml")
    files.write_atomically(tmp_path / "link.toml", "new", overwrite=True)
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "real.toml").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write_atomically(tmp_path / "pipe", b"feed", overwrite=False)
    assert os.read(reader, 100) == b"feed"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/feed.ics", "there is no such folder; make it, or mend the path"),
        ("a-file/feed.ics", "there is no such folder; make it, or mend the path"),
        ("", "this is a folder; name a file in it"),
    ],
)
def test_writing_says_what_is_wrong_and_what_to_do(tmp_path, name, message):
    (tmp_path / "a-file").touch()
    with pytest.raises(NotifierError) as caught:
        files.write_atomically(tmp_path / name, "x", overwrite=True)
    assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_writing_says_that_this_user_may_not(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o555)
    with without_root(tmp_path), pytest.raises(NotifierError) as caught:
        files.write_atomically(tmp_path / "theirs" / "feed.ics", "x", overwrite=True)
    assert problem_of(caught.value).message == "this user may not write there"


def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "feed.ics").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(NotifierError) as caught:
            files.write_atomically(tmp_path / "feed.ics", b"x" * 100_000, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert problem_of(caught.value).message == "it cannot be written: File too large"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"feed.ics": "old"}


# --- a watched file --------------------------------------------------------------------------------------------------


@pytest.fixture
def talk_list(tmp_path) -> Path:
    path = tmp_path / "talks.toml"
    path.write_bytes(b"one")
    return path


def watched(source: object) -> Watched:
    return Watched(str(source), every=10 * MINUTES)


async def polls(source: Watched, *seconds: float, start: datetime = NOW) -> list[bytes | None]:
    return [await source.poll(start + s * SECONDS) for s in seconds]


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


SETTLE_AND_MORE = files.SETTLE + SECONDS


# --- a watched page --------------------------------------------------------------------------------------------------

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@pytest.fixture
def web(monkeypatch) -> Iterator[SimpleNamespace]:
    """A web server whose `answer` each test sets, and the `asked` requests it got."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    place = SimpleNamespace(answer=page(b"one"), asked=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place.asked.append((self.path, dict(self.headers)))
            self.close_connection = True
            place.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that hangs up in the middle is what some tests are about
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    place.server = server
    place.url = f"http://127.0.0.1:{server.server_port}/talks"
    yield place
    server.shutdown()
    thread.join()
    server.server_close()


def page(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


async def test_a_page_is_given_when_it_changed_and_asked_for_at_its_interval_only(web):
    source = watched(web.url)
    assert await polls(source, 0, 1, 599) == [b"one", None, None]
    web.answer = page(b"two")
    assert await polls(source, 600, 1199, 1200) == [b"two", None, None]
    assert len(web.asked) == 3


async def test_a_page_says_who_asks(web):
    await files.fetch(web.url)
    assert web.asked[0][1]["User-Agent"] == f"seminar-notifier/{__version__}"
    assert web.asked[0][1]["Accept-Encoding"] == "identity"


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


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "the server answers 500; look whether the page opens in a browser"),
        (206, "the server answers 206; look whether the page opens in a browser"),
        (302, "the server answers 302; look whether the page opens in a browser"),  # with nowhere to go
        (404, "there is no such page (404); mend the address"),
        (403, "the server refuses us (403); make the page public"),
    ],
)
async def test_an_answer_that_is_no_page_is_refused_with_its_status(web, status, message):
    web.answer = page(b"Time: 2021-11-27", status)
    with pytest.raises(SourceError) as caught:
        await files.fetch(web.url)
    assert str(caught.value) == f"{web.url}: {message}"


async def test_an_endless_page_of_error_is_not_read(web):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        page(b"", 500, Content_Length=str(10**12))(handler)
        while True:
            handler.wfile.write(bytes(1_000_000))

    web.answer = answer
    with pytest.raises(SourceError, match="the server answers 500"):
        await files.fetch(web.url)


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


async def test_a_page_cut_off_is_refused(web):
    web.answer = page(b"[[session]]", Content_Length="2664")
    with pytest.raises(SourceError) as caught:
        await files.fetch(web.url)
    assert problem_of(caught.value).message.startswith("it cannot be fetched: peer closed connection without sending")


async def test_a_page_cut_off_between_its_chunks_is_refused(web):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\none\r\n")

    web.answer = answer
    with pytest.raises(SourceError, match="peer closed connection"):
        await files.fetch(web.url)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_page_over_20_mb_is_refused_and_not_kept_in_memory(web, is_announced):
    sent = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if is_announced:
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(bytes(1_000_000)))

    web.answer = answer
    with pytest.raises(SourceError) as caught:
        await files.fetch(web.url)
    assert problem_of(caught.value).message == "it is larger than 20 MB"
    assert sum(sent) < 40_000_000


async def test_a_page_that_trickles_is_given_up(web, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.5 * SECONDS)
    is_over = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        page(b"", Content_Length="1000000")(handler)
        while not is_over.wait(0.05):
            handler.wfile.write(b".")

    web.answer = answer
    try:
        with pytest.raises(SourceError, match=r"no whole answer within 0\.5 s"):
            await files.fetch(web.url)
    finally:
        is_over.set()


async def test_a_server_that_is_down_is_trouble_with_words(web):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/talks"
    with pytest.raises(SourceError) as caught:
        await files.fetch(url)
    assert str(caught.value) == (
        f"{url}: it cannot be fetched: All connection attempts failed; look whether the page opens in a browser"
    )


def redirects(to: str, times: int) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        nonlocal times
        times -= 1
        (page(b"one") if times < 0 else page(b"moved", 302, Location=to))(handler)

    return answer


async def test_five_redirects_are_followed_and_no_sixth(web):
    web.answer = redirects("/elsewhere", 5)
    assert await files.fetch(web.url) == b"one"
    web.answer = redirects("/elsewhere", 6)
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        await files.fetch(web.url)


@pytest.mark.parametrize(
    "elsewhere", ["http://example.org/talks", "file:///etc/passwd", "ftp://127.0.0.1/", "http://[::ffff:8.8.8.8]/"]
)
async def test_a_redirect_to_where_others_could_listen_is_refused(web, elsewhere):
    web.answer = redirects(elsewhere, 1)
    with pytest.raises(SourceError) as caught:
        await files.fetch(web.url)
    assert problem_of(caught.value).message in (
        "it is not sent over https",
        "it cannot be fetched: Invalid URL in location header: No host included in URL.",
    )


async def test_http_is_spoken_with_this_machine_only(web):
    assert await files.fetch(web.url.replace("127.0.0.1", "localhost")) == b"one"
    with pytest.raises(SourceError) as caught:
        await files.fetch("http://example.org/talks")
    assert str(caught.value) == "http://example.org/talks: it is not sent over https; give an https:// address"


async def test_https_is_spoken_with_whom_the_machine_trusts_and_never_left_by_a_redirect(web, monkeypatch, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    url = web.url.replace("http", "https")
    with pytest.raises(SourceError, match="certificate verify failed"):
        await files.fetch(url)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert await files.fetch(url) == b"one"
    web.answer = redirects(web.url, 1)
    with pytest.raises(SourceError, match="not sent over https"):
        await files.fetch(url)


async def test_user_and_password_of_an_address_are_used_and_never_said(web):
    url = web.url.replace("://", "://ada:tiger@") + "?token=lion"
    assert await files.fetch(url) == b"one"
    assert web.asked[0][0] == "/talks?token=lion"
    assert web.asked[0][1]["Authorization"] == "Basic YWRhOnRpZ2Vy"
    web.answer = page(b"", 500)
    with pytest.raises(SourceError) as caught:
        await files.fetch(url)
    assert str(caught.value).startswith(f"{web.url}?…: the server answers 500")


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:tiger/lion@example.org/",
        "https://ada:tiger@[::1/",
        "https://ada:tiger@exa mple.org/",
        "http://ada:tiger@example.org/?key=lion",
        "https://ada:tiger@/",
        "https://",
    ],
)
async def test_no_error_ever_says_a_secret(url):
    with pytest.raises(SourceError) as caught:
        await files.fetch(url)
    assert [secret for secret in ("ada", "tiger", "lion") if secret in str(caught.value)] == []


@pytest.mark.parametrize(
    ("source", "answer"),
    [("https://example.org", True), ("HTTP://127.0.0.1/", True), ("talks.toml", False), ("https.toml", False)],
)
def test_a_page_is_known_by_its_scheme(source, answer):
    assert files.is_page(source) is answer


# --- the lock --------------------------------------------------------------------------------------------------------


def test_a_second_lock_is_refused_with_the_pid_of_the_first_until_that_is_released(tmp_path):
    path = tmp_path / "lock"
    path.write_text("99999999 and more\n")  # left by a daemon that died
    with files.lock(path):
        with pytest.raises(StoreLocked) as caught:
            files.lock(path)
        assert caught.value.pid == os.getpid()
        assert str(path) in str(caught.value)
    second = files.lock(path)
    second.release()
    second.release()
    files.lock(path).release()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import sys, notifier.files as f; lock = f.lock(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as caught:
            files.lock(tmp_path / "lock")
        assert caught.value.pid == first.pid
        first.send_signal(signal.SIGKILL)
        first.wait()
        with files.lock(tmp_path / "lock"):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("text", ["", "12 monkeys"])
def test_a_lock_that_names_no_pid_is_refused_without_one(tmp_path, text):
    with files.lock(tmp_path / "lock"):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(StoreLocked) as caught:
            files.lock(tmp_path / "lock")
    assert caught.value.pid is None


def test_the_lock_is_no_ones_to_read_but_ours(tmp_path):
    with files.lock(tmp_path / "lock"):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_lock_in_a_missing_folder_is_an_error_with_words(tmp_path):
    with pytest.raises(StoreError) as caught:
        files.lock(tmp_path / "none" / "lock")
    assert str(caught.value) == f"{tmp_path}/none/lock: there is no such folder; make it, or mend the path"
