"""What is looked for is found however it is typed: in capitals, without accents, in pinyin, and nearly right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.pages.searches import holds, nearest, plain, read_aloud, vocabulary, words_of


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("ANGSTROM", "Zoë Ångström"),
        ("Ångström", "Zoe Angstrom"),
        ("lukasz", "Łukasz Próba"),
        ("strasse", "Straße"),
        ("Ａｐｐｒｏｘ", "approximation"),
        ("冷冻 原理", "冷冻电镜原理及相关算法"),
        ("ИВАН", "Иван"),
    ],
)
def test_case_width_and_accents_make_no_difference(asked, text):
    assert holds(plain(text), words_of(asked))


def test_other_letters_do_make_one():
    assert not holds(plain("网络"), words_of("往络"))


@pytest.mark.parametrize("asked", ["wang yuhang", "Yuhang Wang", "yu hang", "Wáng Yǔháng"])
def test_a_chinese_name_is_found_by_its_pinyin(asked):
    assert holds(plain(read_aloud("王宇航")), words_of(asked))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("aproximation", ("approximation",)),
        ("deep aproximation", ("deep", "approximation")),
        ("王宇杭", ("王宇航",)),
        ("ada", ()),
        ("approx deep", ()),
        ("adda deap netwoks", ("ada", "deep", "networks")),
        ("adda deap netwoks aproximation", ()),
        ("nothing", ()),
    ],
)
def test_what_is_nearly_right_is_asked_back(asked, meant):
    assert nearest(words_of(asked), ["approximation", "deep", "networks", "王宇航", "ada"]) == meant


def test_a_word_that_is_asked_back_has_no_mark_around_it():
    assert vocabulary(plain("Deep Networks, part 2: (non-smooth) 函数？")) == {
        "deep",
        "networks",
        "part",
        "2",
        "non-smooth",
        "函数",
    }


@given(st.text(), st.text(min_size=1))
def test_a_text_holds_every_word_of_itself(text, other):
    assert holds(plain(text + other), tuple(plain(text).split()))
    assert plain(plain(text)) == plain(text)
