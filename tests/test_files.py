"""Files and templates on a real disk."""

from __future__ import annotations

import io
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import files
from notifier.errors import NotifierError, Problem, SourceError, TemplateError


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
