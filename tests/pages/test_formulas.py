"""Formulas in pages: drawn where they can be, told in plain characters where not, and never a way in for markup."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from notifier.pages.formulas import with_formulas

DRAWS = {"span", "math", "mi", "mo", "mn", "mrow", "msup", "msub", "mfrac", "mtext"}


def drawn(text: str) -> BeautifulSoup:
    return BeautifulSoup(with_formulas(text), "html.parser")


def test_a_formula_becomes_mathml_amid_its_words():
    page = drawn("an error of about $n^{-1/d}$, as ever")
    assert page.get_text() == "an error of about n−1/d, as ever"
    assert [tag.name for tag in page.select("math msup > *")] == ["mi", "mrow"]
    assert page.math["display"] == "inline"


def test_a_formula_of_its_own_is_set_apart():
    assert drawn(r"so that $$\frac{a}{b}$$ and \[c\]").select("math")[0]["display"] == "block"
    assert len(drawn(r"so that $$\frac{a}{b}$$ and \[c\]").select("[display=block]")) == 2


def test_a_wide_formula_can_be_scrolled_also_by_the_keyboard():
    page = drawn(f"so ${'+'.join('abcdefghijklmnopqrstuvwxyz')}$ and $x$")
    assert [bool(math.find_parent("span", tabindex="0")) for math in page.select("math")] == [True, False]


def test_text_without_formulas_is_only_escaped():
    assert with_formulas("a < b & $5 and $6 stay") == "a &lt; b &amp; $5 and $6 stay"
    assert with_formulas(r"Schr\"odinger & co") == "Schrödinger &amp; co"


@pytest.mark.parametrize("tex", [r"\frac{a}{", r"x^", r"\left(", r"\begin{array}", "a" * 3000])
def test_a_formula_that_cannot_be_read_stays_as_text(tex):
    page = drawn(f"see ${tex}$ there")
    assert page.select("math") == []
    assert page.get_text().startswith("see ")


@pytest.mark.parametrize(
    "tex",
    [
        r"\text{<script>alert(1)</script>}",
        r"\text{<img src=x onerror=alert(1)>}",
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(//evil.example)}{x}",
        r"\class{next}{x}",
        r"\mbox{<b>x</b>}",
        r"\text{</math><a href=//evil.example>x</a>}",
        r"\text{&lt;script>}",
        r"\color{red;background:url(x)}x",
        r'\textcolor{"><script>}{x}',
    ],
)
def test_no_formula_brings_in_markup(tex):
    page = drawn(f"${tex}$")
    assert {tag.name for tag in page.find_all()} <= DRAWS | {"mstyle", "mpadded"}
    assert not {name for tag in page.find_all() for name in tag.attrs} & {"href", "style", "src", "onerror"}
    assert not page.select(".next")


COMMANDS = [
    r"\text{",
    r"\href{",
    r"\frac",
    "{",
    "}",
    "<b>",
    "&",
    "$",
    "^",
    "_",
    r"\left(",
    "x",
    " ",
    "\\",
    '"',
    "[",
    "]",
]


@given(st.lists(st.sampled_from(COMMANDS), max_size=14).map("".join) | st.text(max_size=40))
def test_whatever_stands_between_dollars_fails_never_and_is_safe(tex):
    page = drawn(f"before ${tex}$ after \\[{tex}\\]")
    assert {tag.name for tag in page.find_all()} & {"b", "a", "script", "img"} == set()
