"""The witness beside the store: what it keeps through power cuts, and that it never goes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier import witness
from notifier.errors import StoreError
from notifier.revisions import Identity
from notifier.witness import Witness

AT = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
ONE = Identity("2021-11-27", "2021-11-27@seminar.example.org", "a" * 64, 1, AT, AT)
NEWER = replace(ONE, digest="b" * 64, revision=2, modified=AT + timedelta(seconds=1))


def test_what_a_store_has_lost_is_known(tmp_path: Path):
    path = tmp_path / "notifier.published"
    Witness(path).note([ONE, NEWER], AT)
    again = Witness(path)
    assert again.newer_than({}) == again.newer_than({ONE.id: ONE}) == {ONE.id: NEWER}
    assert again.newer_than({ONE.id: NEWER}) == {}
    assert again.published == AT


def test_until_when_a_store_was_in_use_is_known(tmp_path: Path):
    path = tmp_path / "notifier.published"
    Witness(path).note([ONE], AT, used=AT + timedelta(hours=1))
    Witness(path).note([], used=AT)
    again = Witness(path)
    assert (again.used, again.published, again.newer_than({})) == (AT + timedelta(hours=1), AT, {ONE.id: ONE})


def test_nothing_older_is_noted(tmp_path: Path):
    path = tmp_path / "notifier.published"
    seen = Witness(path)
    seen.note([NEWER], AT)
    before = path.read_bytes()
    seen.note([ONE], AT - timedelta(days=1))
    assert path.read_bytes() == before
    assert seen.newer_than({}) == {ONE.id: NEWER}


@pytest.mark.parametrize(
    "rest",
    [
        b'{"id": "2021-1',
        b"\x00\x00\x00\n",
        b"[]\n",
        b'{"published": 3}\n',
        b'{"published": "2021-11-27T01:30:00+00:00"}',
        b"\xff\xfe\n",
    ],
)
def test_a_line_that_was_broken_off_harms_no_other(tmp_path: Path, rest: bytes):
    path = tmp_path / "notifier.published"
    Witness(path).note([ONE], AT)
    path.write_bytes(path.read_bytes() + rest)
    Witness(path).note([NEWER])
    again = Witness(path)
    assert (again.newer_than({}), again.published) == ({ONE.id: NEWER}, AT)


def test_lines_that_are_out_of_date_are_dropped_one_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(witness, "_SLACK", 3)
    path = tmp_path / "notifier.published"
    for revision in range(40):
        Witness(path).note([replace(ONE, revision=revision)], AT + timedelta(seconds=revision))
    assert len(path.read_bytes().splitlines()) < 10
    assert Witness(path).newer_than({})[ONE.id].revision == 39


def test_a_witness_that_is_told_every_minute_for_years_keeps_a_short_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(witness, "_SLACK", 3)
    path = tmp_path / "notifier.published"
    seen = Witness(path)
    seen.note([ONE], AT)
    for minute in range(40):
        seen.note([], used=AT + timedelta(minutes=minute))
    assert len(path.read_bytes().splitlines()) < 10
    again = Witness(path)
    assert (again.used, again.published, again.newer_than({})) == (AT + timedelta(minutes=39), AT, {ONE.id: ONE})


def test_a_file_that_cannot_be_written_is_told_of_and_written_whole_later(tmp_path: Path):
    path = tmp_path / "var" / "notifier.published"
    seen = Witness(path)
    with pytest.raises(StoreError, match="what was published cannot be noted"):
        seen.note([ONE], AT)
    path.parent.mkdir()
    seen.note([NEWER])
    again = Witness(path)
    assert (again.newer_than({}), again.published) == ({ONE.id: NEWER}, AT)
