import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import ConfigError
from notifier.locations import did_you_mean, is_web_address, load, locate

HARD = '''\
a.b = 1  # [[not.a.table]] "
"quoted.key" . y = { list = [1, { deep = 2 }], text = "]}" }
[[session]]
text = """
[[not.a.table]] \\""" key = 1
""""
literal = \'\'\'
  [no]\'\'\'\'
  [[session.talk]]
  when = 2021-11-27 09:30:00
  items = [  # ]
    "a", 'b',
    # c ]
  ]
[[session]]
[session.room]
url = \'\'
'''


def test_locate_finds_every_key_table_and_item_of_a_hard_text() -> None:
    assert locate(HARD) == {
        ("a",): (1, 1),
        ("a", "b"): (1, 3),
        ("quoted.key",): (2, 1),
        ("quoted.key", "y"): (2, 16),
        ("quoted.key", "y", "list"): (2, 22),
        ("quoted.key", "y", "list", 0): (2, 30),
        ("quoted.key", "y", "list", 1): (2, 33),
        ("quoted.key", "y", "list", 1, "deep"): (2, 35),
        ("quoted.key", "y", "text"): (2, 48),
        ("session",): (3, 1),
        ("session", 0): (3, 1),
        ("session", 0, "text"): (4, 1),
        ("session", 0, "literal"): (7, 1),
        ("session", 0, "talk"): (9, 3),
        ("session", 0, "talk", 0): (9, 3),
        ("session", 0, "talk", 0, "when"): (10, 3),
        ("session", 0, "talk", 0, "items"): (11, 3),
        ("session", 0, "talk", 0, "items", 0): (12, 5),
        ("session", 0, "talk", 0, "items", 1): (12, 10),
        ("session", 1): (15, 1),
        ("session", 1, "room"): (16, 1),
        ("session", 1, "room", "url"): (17, 1),
    }


def paths(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


KEYS = st.sampled_from(["a", "b-c", '"q.\\"x"', "'l # ]'", "é".encode().hex()])
STRINGS = st.sampled_from(
    ['"x"', '"\\" # ]"', "'\\'", '"""\n[t]\n\\"""\n"""', "'''\n# ''\n'''", '""""x"""""', "''", '""', "''''a'''''"]
)
SCALARS = STRINGS | st.sampled_from(["1", "-1.5e3", "true", "2021-11-27", "2021-11-27 09:30:00", "0xff", "inf"])
GAPS = st.sampled_from(["", " ", "\n", ' # ] } "\n\t'])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(
            lambda items, gap: "[" + "".join(f"{gap}{item}{gap}," for item in items) + gap + "]",
            st.lists(inner, max_size=3),
            GAPS,
        )
        | st.builds(
            lambda pairs: "{" + ", ".join(f"{k} = {v}" for k, v in pairs.items()) + "}",
            st.dictionaries(KEYS, inner, max_size=3),
        )
    ),
    max_leaves=6,
)
PAIRS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(PAIRS, st.lists(st.tuples(PAIRS, st.lists(PAIRS, max_size=2)), max_size=3))
def test_locate_knows_the_same_paths_as_the_parser(top: dict, tables: list) -> None:
    def lines(pairs: dict) -> str:
        return "".join(f"{key} = {value}\n" for key, value in pairs.items())

    text = lines(top) + "".join(
        f"[[t]] # x\n{lines(pairs)}" + "".join(f"[[t.sub]]\n{lines(sub)}" for sub in subs) for pairs, subs in tables
    )
    assert set(locate(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("a = “x”", (1, 5), "“ is no mark of TOML; use plain \" ' = [ ]"),
        ("a = 1\nb = x", (2, 5), "text and times stand in quotes"),
        ('a = "\\alpha"', (1, 8), "between ''' and '''"),
        ('a = "x\nb = 1', (1, 7), "close the quotes"),
        ("a = 1\nb = '''\nx\n\ny\n", (2, None), "close the text with '''"),
        ("a = 1\na = 2\n", (2, 6), "a key stands once"),
        ("[a]\n[a]", (2, 3), "a table is opened once"),
        ("a = [1\n\n", (1, None), "close the list"),
        ("words", (1, None), "write KEY = VALUE"),
        ("x = " + "[" * 9000, (None, None), "write them flat"),
    ],
)
def test_a_break_of_toml_is_told_with_its_place_and_what_to_do(
    text: str, place: tuple[int | None, int | None], advice: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, ConfigError)
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == place
    assert advice in problem.advice


def test_did_you_mean_knows_a_misspelt_word_and_leaves_a_foreign_one() -> None:
    assert did_you_mean("Speker", ["title", "speaker"]) == 'did you mean "speaker"?'
    assert did_you_mean("quux", ["title", "speaker"]) == ""


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("https://meeting.tencent.com/dm/p1q2HxwW3x4r", True),
        ("http://[::1]:8000/x?y=1#z", True),
        ("javascript:alert(1)", False),
        ("JavaScript://x.org/%0aalert(1)", False),
        ("ftp://x.org", False),
        ("https://", False),
        ("https://[x", False),
        ("https://x.org/a b", False),
        ('https://x.org/"onclick=', False),
        ("//x.org", False),
        ("x.org", False),
    ],
)
def test_only_whole_http_links_with_a_host_are_web_addresses(text: str, verdict: bool) -> None:
    assert is_web_address(text) is verdict
