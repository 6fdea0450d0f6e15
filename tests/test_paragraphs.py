"""Line breaks: those of an editor's window go, those of the writer stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.paragraphs import unwrapped

WRAPPED = (
    "For functions that are known only to be continuous, the best approximation\nfrom so many values has an error."
)


def test_a_line_that_an_editor_wrapped_goes_on():
    assert unwrapped(WRAPPED) == WRAPPED.replace("\n", " ")
    assert unwrapped(f"{WRAPPED}\n\n{WRAPPED}") == f"{unwrapped(WRAPPED)}\n\n{unwrapped(WRAPPED)}"


def test_chinese_is_joined_without_a_space():
    line = "碳氢分子是燃料的主要组成部分本报告介绍一种由神经网络给出势能面的分子动力学方法"
    assert unwrapped(f"{line}\n{line}") == line + line
    assert unwrapped(f"{line}\nDeep learning") == f"{line} Deep learning"


@pytest.mark.parametrize(
    "text",
    [
        "Roses are red,\nviolets are blue.",
        "A heading\n" + "x" * 80,
        "y" * 300 + "\nthe next paragraph of a page",
        "z" * 80 + "\n- an item of a list",
        "z" * 80 + "\n1. an item of a list",
        "z" * 80 + "\n[1] Ada, On Numbers, 1843.",
        "z" * 80 + "\n  a line of code",
        "",
        "\n",
        "one line",
    ],
)
def test_a_line_break_that_was_meant_stays(text):
    assert unwrapped(text) == text


@given(st.text(st.sampled_from("ab 文。\n-1.") | st.characters(), max_size=300))
def test_nothing_but_line_breaks_is_changed(text):
    once = unwrapped(text)
    assert once.replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")
    assert once.count("\n") <= text.count("\n")
