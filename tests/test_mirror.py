"""The folder of a web host: ours is kept equal to what is published, and what is somebody else's is never touched."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from click.testing import CliRunner
from house import SECOND, TALKS, House

from notifier import clock, mirror
from notifier.cli import main
from notifier.errors import NotifierError
from notifier.pages.copies import addresses

SITE = {"index.html": b"<p>", "style.css": b"p{}", "sessions/a/index.html": b"a", "sessions/a.ics": b"BEGIN"}


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_folder_holds_what_is_published_and_only_what_changed_is_written(tmp_path: Path):
    folder = tmp_path / "a" / "site"
    assert set(mirror.update(folder, SITE).written) == set(SITE)
    times = {path: (folder / path).stat().st_mtime_ns for path in SITE}
    after = {**SITE, "style.css": b"p{color:teal}"}
    del after["sessions/a/index.html"]
    done = mirror.update(folder, after)
    assert (done.written, done.removed, done.kept) == (("style.css",), ("sessions/a/index.html",), ())
    assert content(folder) == after
    assert not (folder / "sessions" / "a").exists()
    assert (folder / "index.html").stat().st_mtime_ns == times["index.html"]
    again = mirror.update(folder, after)
    assert (again.written, again.removed, again.kept) == ((), (), ())


def test_files_of_others_stay(tmp_path: Path):
    (tmp_path / "sessions" / "a").mkdir(parents=True)
    (tmp_path / "sessions" / "a" / "poster.pdf").write_bytes(b"%PDF")
    (tmp_path / "CNAME").write_bytes(b"seminar.example.org")
    mirror.update(tmp_path, SITE)
    mirror.update(tmp_path, {})
    assert content(tmp_path) == {"sessions/a/poster.pdf": b"%PDF", "CNAME": b"seminar.example.org"}


def test_what_is_in_the_way_is_named_and_nothing_is_done(tmp_path: Path):
    (tmp_path / "index.html").write_bytes(b"mine")
    (tmp_path / "style.css").write_bytes(b"mine too")
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "a.ics").write_bytes(SITE["sessions/a.ics"])  # the same bytes do no harm
    before = content(tmp_path)
    with pytest.raises(NotifierError) as caught:
        mirror.update(tmp_path, SITE)
    assert [problem.source for problem in caught.value.problems] == [
        str(tmp_path / "index.html"),
        str(tmp_path / "style.css"),
    ]
    assert content(tmp_path) == before


def test_what_somebody_changed_is_not_removed(tmp_path: Path):
    mirror.update(tmp_path, SITE)
    (tmp_path / "style.css").write_bytes(b"p{color:red}")
    done = mirror.update(tmp_path, {"index.html": b"<p>"})
    assert (done.kept, content(tmp_path)) == (("style.css",), {"index.html": b"<p>", "style.css": b"p{color:red}"})


def test_a_file_can_take_the_place_of_a_folder_and_the_other_way_round(tmp_path: Path):
    mirror.update(tmp_path, {"a/b": b"1", "c": b"2"})
    mirror.update(tmp_path, {"a": b"3", "c/d": b"4"})
    assert content(tmp_path) == {"a": b"3", "c/d": b"4"}


def test_what_was_broken_off_is_finished_by_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mirror.update(tmp_path, SITE)
    after = {name: data + b"!" for name, data in SITE.items()}
    written: list[Path] = []
    write = mirror._write

    def dies_at_the_third(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            path.with_name(".notifier-0123456789abcdef.tmp").write_bytes(data[:1])
            raise KeyboardInterrupt
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(mirror, "_write", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            mirror.update(tmp_path, after)
    assert len(mirror.update(tmp_path, after).written) == len(SITE) - 1
    assert content(tmp_path) == after
    assert list(tmp_path.rglob("*.tmp")) == []


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"../victim": "DIGEST", "TMP/victim": "DIGEST"}'])
def test_a_damaged_list_of_our_files_removes_nothing(tmp_path: Path, broken: bytes):
    folder = tmp_path / "site"
    (tmp_path / "victim").write_bytes(b"")
    broken = broken.replace(b"TMP", bytes(tmp_path)).replace(b"DIGEST", hashlib.sha256(b"").hexdigest().encode())
    mirror.update(folder, SITE)
    (folder / ".notifier-published.json").write_bytes(broken)
    mirror.update(folder, {"index.html": SITE["index.html"]})
    assert content(folder) == SITE
    assert (tmp_path / "victim").exists()


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotifierError, match="cannot be written"):
        mirror.update(tmp_path / "file" / "site", SITE)


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A web host that knows nothing but the files of `site`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path / "site"))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_host_of_plain_files_gives_what_the_daemon_gives(
    house: House, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = house.folder / "config.toml"
    settings.write_text('[server]\nbase_url = "https://seminar.example.org"\n[mail]\nsender = "a@example.org"\n')
    monkeypatch.setattr(clock, "now", lambda: house.now)
    monkeypatch.setenv("COLUMNS", "200")
    await house.start()
    assert house.daemon is not None
    for text in (TALKS, TALKS.replace("09:30-11:30", "10:00-12:00")):
        house.now += SECOND
        house.write_list(text)
        await house.daemon.reload()
        command = ["--config", str(settings), "publish", "--json", str(house.folder / "site")]
        ended = await asyncio.to_thread(CliRunner().invoke, main, command)
        assert ended.exit_code == 0, ended.output
        told = json.loads(ended.stdout)
        async with httpx.AsyncClient(follow_redirects=True) as client:
            for address in sorted(set(addresses(house.snapshot))):
                served = await house.get(address)
                assert (await client.get(f"{host}{address}")).content == served.content, address
    assert 0 < len(told["written"]) < told["files"]
