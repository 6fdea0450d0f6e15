"""What letters and pages have in common: texts that compile for each language, and problems that tell their line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from notifier import files, letters, pages, subscribers
from notifier.errors import Problem, TemplateError
from notifier.templates import LANGUAGES, TemplateFolder, common_filters, idle

CATALOGUE = "locale/zh/LC_MESSAGES/notes.po"
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
SHIPPED = {
    "notes/a.txt": "{% block top %}{{ _('Hello') }}, {% endblock %}{{ name }}",
    "notes/a.html": '<p lang="{{ tag }}">{{ name }}</p>',
    "notes/plain.css": "a { {# no template #}",
    CATALOGUE: HEADER + 'msgid "Hello"\nmsgstr "您好"\n\nmsgid "Bye"\nmsgstr "再见"\n',
}


def notes(overrides: Mapping[str, str] = {}) -> TemplateFolder:
    return TemplateFolder(
        SHIPPED, overrides, folder="notes", suffixes=(".txt", ".html"), filters=lambda language: common_filters("en")
    )


def written(text: str, values: Mapping[str, object], name: str = "notes/b.txt", language: str = "en") -> str:
    return notes({name: text}).render(name, language, values)


def test_every_language_that_subscribers_may_choose_is_written() -> None:
    assert tuple(LANGUAGES) == subscribers.LANGUAGES


def test_words_and_tag_are_those_of_the_language() -> None:
    assert [notes().render("notes/a.txt", language, {"name": "Ada"}) for language in LANGUAGES] == [
        "您好, Ada",
        "Hello, Ada",
    ]
    assert [notes().render("notes/a.html", language, {"name": "Ada"}) for language in LANGUAGES] == [
        '<p lang="zh-CN">Ada</p>',
        '<p lang="en">Ada</p>',
    ]


def test_an_operator_s_file_that_nobody_reads_is_told_of() -> None:
    overrides = {"notes/a.txt": "{% include 'notes/mine.txt' %}", "notes/mine.txt": "", "notes/a.htm": "", "x.md": ""}
    told = "it replaces no shipped template, and none of yours names it"
    assert idle(SHIPPED, overrides) == (
        Problem(told, 'did you mean "notes/a.html"?', "notes/a.htm"),
        Problem(told, "call it like the one that it is to replace", "x.md"),
    )


def test_what_is_compiled_once_says_a_constant_in_each_language() -> None:
    texts = {"notes/a.txt": "{{ 'said'|here }}"}
    folder = TemplateFolder(
        texts, {}, folder="notes", suffixes=(".txt",), filters=lambda language: {"here": lambda text: text + language}
    )
    assert [folder.render("notes/a.txt", language, {}) for language in LANGUAGES] == ["saidzh", "saiden"]
    assert len(folder._code[False]._kept) == 1


def test_values_are_escaped_in_html_and_only_there() -> None:
    assert written("{{ name }}", {"name": "<b>"}) == "<b>"
    assert written("{{ name }}", {"name": "<b>"}, "notes/b.html") == "&lt;b&gt;"


def test_a_macro_escapes_by_what_is_written_and_not_by_its_own_file() -> None:
    texts = {
        "notes/macro.txt": "{% macro said(name) %}{{ name }}{% endmacro %}",
        "notes/b.html": '{% from "notes/macro.txt" import said with context %}{{ said(name) }}',
    }
    assert notes(texts).render("notes/b.html", "en", {"name": "<b>"}) == "&lt;b&gt;"


# --- of an operator


def test_an_override_takes_the_place_of_one_file_and_may_extend_the_shipped_one() -> None:
    ours = notes({"notes/a.txt": '{% extends "shipped/notes/a.txt" %}{% block top %}Dear {% endblock %}'})
    assert ours.problems() == ()
    assert ours.render("notes/a.txt", "en", {"name": "Ada"}) == "Dear Ada"
    assert ours.render("notes/a.html", "en", {"name": "Ada"}) == notes().render("notes/a.html", "en", {"name": "Ada"})


def test_an_override_of_the_catalogue_changes_its_words_and_keeps_the_others() -> None:
    ours = notes(
        {CATALOGUE: HEADER + 'msgid "Hello"\nmsgstr "你好"\n', "notes/b.txt": "{{ _('Hello') }} {{ _('Bye') }}"}
    )
    assert ours.problems() == ()
    assert ours.render("notes/b.txt", "zh", {}) == "你好 再见"


def test_a_catalogue_without_a_header_has_the_plurals_of_its_language() -> None:
    words = 'msgid "%(num)s day"\nmsgid_plural "%(num)s days"\nmsgstr[0] "%(num)s 天"\n'
    ours = notes(
        {CATALOGUE: words, "notes/b.txt": "{% trans num %}{{ num }} day{% pluralize %}{{ num }} days{% endtrans %}"}
    )
    assert ours.problems() == ()
    assert [ours.render("notes/b.txt", "zh", {"num": count}) for count in (1, 2)] == ["1 天", "2 天"]


def test_a_file_is_had_as_it_is() -> None:
    assert notes().text("notes/plain.css") == SHIPPED["notes/plain.css"]
    with pytest.raises(TemplateError, match=r"there is no template notes/none\.css"):
        notes().text("notes/none.css")


# --- problems


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("one\n{% if %}\n", "Expected an expression, got 'end of statement block'", 2),
        ("{{ name|nonsense }}", "No filter named 'nonsense'", 1),
        ("one\n\n{% endif %}", "Encountered unknown tag 'endif'", 3),
    ],
)
def test_what_does_not_compile_is_told_with_its_line(text: str, message: str, line: int) -> None:
    assert notes({"notes/a.txt": text}).problems() == (Problem(message, "mend the template", "notes/a.txt", line),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one\n{{ nme }}", "notes/a.txt:2: UndefinedError: 'nme' is undefined; mend the template"),
        ("one\n\n{{ nme.first }}", "notes/a.txt:3: UndefinedError: 'nme' is undefined; mend the template"),
        ("{{ 1 / 0 }}", "notes/a.txt:1: ZeroDivisionError: division by zero; mend the template"),
        ("{% if %}", "notes/a.txt:1: Expected an expression, got 'end of statement block'; mend the template"),
        (
            '{% include "notes/none.txt" %}',
            "there is no template notes/none.txt; mend the name, or put the file there",
        ),
    ],
)
def test_what_fails_in_writing_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        written(text, {"name": "Ada"}, "notes/a.txt")
    assert str(caught.value) == told


def test_a_failure_in_a_shipped_template_is_told_of_that_file() -> None:
    with pytest.raises(TemplateError) as caught:
        written('{% extends "shipped/notes/a.txt" %}', {}, "notes/a.txt")
    assert [(p.source, p.line) for p in caught.value.problems] == [("shipped/notes/a.txt", 1)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('msgid "Hello"\nmsgstr "你好"\n\nnonsense\n', 4),
        ('#, python-format\nmsgid "Dear %(name)s,"\nmsgstr "%(nome)s"\n', 2),
        ('msgid "%(num)s day"\nmsgid_plural "%(num)s days"\nmsgstr[0] "a"\nmsgstr[1] "b"\n', 1),
    ],
)
def test_a_broken_catalogue_is_told_with_its_line(text: str, line: int) -> None:
    assert {(p.source, p.line) for p in notes({CATALOGUE: text}).problems()} == {(CATALOGUE, line)}


def test_a_broken_catalogue_leaves_the_shipped_words() -> None:
    assert notes({CATALOGUE: "nonsense"}).render("notes/a.txt", "zh", {"name": "Ada"}) == "您好, Ada"


def test_all_problems_are_told_at_once() -> None:
    english = CATALOGUE.replace("zh", "en")
    texts = {CATALOGUE: "nonsense", english: "nonsense", "notes/a.html": "{% if %}", "notes/b.txt": "\n{{ }"}
    assert [(p.source, p.line) for p in notes({**texts, "notes/c.css": "{{"}).problems()] == [
        (english, 1),
        (CATALOGUE, 1),
        ("notes/a.html", 1),
        ("notes/b.txt", 2),
    ]


def test_unknown_names_are_noted_where_they_are_used_and_nothing_stops() -> None:
    text = "{{ nme }}.\n{% for x in talks %}x{% endfor %}\n{% if a.b.c %}x{% endif %}\n{{ motto is defined }}"
    found: list[Problem] = []
    strict = notes({"notes/a.txt": text})
    assert strict.noting(found).render("notes/a.txt", "en", {}) == ".\nFalse"
    assert found == [
        Problem("'nme' is undefined", "mend the name", "notes/a.txt", 1),
        Problem("'talks' is undefined", "mend the name", "notes/a.txt", 2),
        Problem("'a' is undefined", "mend the name", "notes/a.txt", 3),
    ]
    with pytest.raises(TemplateError):
        strict.render("notes/a.txt", "en", {})


@pytest.mark.parametrize(
    "text", ["{{ name.__class__.__mro__ }}", "{{ ''.__class__ }}", "{{ names.append(1) }}", "{{ name.__init__ }}"]
)
@pytest.mark.parametrize("name", ["notes/b.txt", "notes/b.html"])
def test_a_template_reaches_and_changes_nothing_but_what_it_is_given(text: str, name: str) -> None:
    names = ["Ada"]
    with pytest.raises(TemplateError):
        written(text, {"name": "Ada", "names": names}, name)
    assert names == ["Ada"]


@pytest.mark.parametrize(("family", "name"), [(letters, "mail/reminder.txt"), (pages, "pages/index.html")])
def test_letters_and_pages_are_written_in_the_sandbox(family: object, name: str) -> None:
    templates = family.Templates(files.shipped(), {name: "{{ ''.__class__ }}"})  # type: ignore[attr-defined]
    with pytest.raises(TemplateError, match="unsafe"):
        templates.render(name, "en", {})


# --- how templates write


@pytest.mark.parametrize(
    ("number", "grouped"),
    [
        ("329744341", "329 744 341"),
        ("5531234567", "553 123 4567"),
        ("553 2421 7498", "553 2421 7498"),
        ("553-2421-7498", "553 2421 7498"),
        ("room 5", "room 5"),
        ("12345678", "12345678"),
    ],
)
def test_a_meeting_number_is_grouped_as_its_program_does(number: str, grouped: str) -> None:
    assert written("{{ number|grouped }}", {"number": number}) == grouped


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://example.org/?a=1&b=2", True),
        ("HTTP://example.org", True),
        ("javascript:alert(1)", False),
        ("https:alert", False),
        ("http://[", False),
        ("//example.org", False),
        ("wemeet://page/inmeeting", False),
        ("", False),
    ],
)
def test_only_an_address_of_the_web_is_a_link(url: str, is_link: bool) -> None:
    assert written("{{ url|web }}", {"url": url}) == (url if is_link else "")


def test_lists_are_those_of_the_locale() -> None:
    names = ["Ada", "Bob", "Carol"]
    assert [common_filters(locale)["listed"](iter(names)) for locale in ("en", "en_GB", "zh_Hans_CN")] == [
        "Ada, Bob, and Carol",
        "Ada, Bob and Carol",
        "Ada、Bob和Carol",
    ]


@pytest.mark.parametrize(("text", "tag"), [("A talk", "en"), ("报告", "zh-CN"), ("Cryo-EM 原理", "zh-CN"), ("", "en")])
def test_a_text_with_chinese_characters_is_spoken_in_chinese(text: str, tag: str) -> None:
    assert written("{{ text|tongue }}", {"text": text}) == tag
