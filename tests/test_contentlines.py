"""Lines of a calendar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Event

from notifier.contentlines import serialised


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n")) | st.text("\\^é学😀,", min_size=60, max_size=200)
)
def test_lines_are_folded_as_icalendar_folds_them(text):
    event = Event()
    event.add("DESCRIPTION", text)
    event.add("COMMENT", text * 3)
    assert serialised(event) == event.to_ical()
