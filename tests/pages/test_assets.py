"""The one style sheet and the one script: small, and safe to keep for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "templates" / "pages"


@pytest.mark.parametrize(("name", "most"), [("style.css", 10 * 1024), ("script.js", 5 * 1024)])
def test_what_every_page_loads_is_small(name, most):
    assert len((PAGES / name).read_bytes()) <= most


def test_the_script_puts_no_text_of_its_own_into_pages():
    """All words come from the page, where they are translated."""
    script = (PAGES / "script.js").read_text()
    assert "innerHTML" not in script
    assert script.isascii()
