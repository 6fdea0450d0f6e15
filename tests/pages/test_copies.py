"""The site as plain files: everything, byte for byte, and no path that leads out of the folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from samples import DAYS, START, seminar, session

from notifier import pages
from notifier.pages import Site, Snapshot, Templates
from notifier.pages.copies import addresses, copies, is_safe
from notifier.talks import Seminar

FOLDER = Path(__file__).parents[2] / "templates"
TEMPLATES = Templates({str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*.*") if p.is_file()})
PAST = session(START - 300 * DAYS, id="past", uid="past@x")


def built(series: Seminar) -> Snapshot:
    return pages.build(series, TEMPLATES, Site("https://seminar.example.org"), now=START)


def test_every_address_has_its_file_with_the_bytes_of_the_server():
    snapshot = built(seminar(PAST, session()))
    files, problems = copies(snapshot)
    assert problems == ()
    for address in addresses(snapshot):
        answered = pages.answer(snapshot, "GET", address, "", {})
        assert answered.status == 200, address
        name = address.removeprefix("/")
        assert answered.body in (files.get(name), files.get(str(PurePosixPath(name) / "index.html"))), address


def test_the_files_are_what_a_site_needs():
    files, _ = copies(built(seminar(PAST, session())))
    expected = {
        "index.html", "zh/index.html", "en/index.html", "404.html", "robots.txt", "talks.json", "openapi.json",
        "calendar.ics", "calendar.json", "jsml.ics",
        "zh/jsml.ics", "en/calendar.ics", "feed.atom", "zh/feed.atom", "en/feed.atom",
        "sessions/past/index.html", "zh/sessions/past/index.html", "sessions/past.ics", "en/sessions/past.ics",
        "history/index.html", "en/history/2021/index.html", "subscribe/index.html",
    }  # fmt: skip
    assert expected - set(files) == set()
    assert files["zh/index.html"] != files["en/index.html"] == files["index.html"]


def test_what_pages_refer_to_comes_before_them():
    names = list(copies(built(seminar()))[0])
    first_page = next(n for n, name in enumerate(names) if name.endswith(".html"))
    assert all(name.endswith(".html") for name in names[first_page:])


@pytest.mark.parametrize("name", ["..", "../x", ".", "a//b", "a/../../b", "x" * 300, "研" * 90, "a\\b"])
def test_no_session_id_leads_out_of_the_folder(name: str):
    series = seminar(PAST, replace(session(), id=name))
    files, problems = copies(built(series))
    assert all(is_safe(path) for path in files)
    assert any(name in str(problem) for problem in problems)
    assert "sessions/past/index.html" in files


def test_an_id_that_looks_like_a_path_has_its_file_where_hosts_look():
    files, problems = copies(built(seminar(session(id="2021/11 27"))))
    assert problems == ()
    assert {"sessions/2021/11 27/index.html", "sessions/2021/11 27.ics"} <= set(files)


def test_what_would_be_a_file_and_a_folder_at_once_is_told():
    files, problems = copies(built(seminar(replace(PAST, id="a"), replace(session(), id="a.ics/b"))))
    assert {str(p).partition(";")[0] for p in problems} == {
        f"'/{prefix}sessions/a.ics' is a file and a folder at once" for prefix in ("", "zh/", "en/")
    }
    assert "sessions/a.ics/b/index.html" in files
