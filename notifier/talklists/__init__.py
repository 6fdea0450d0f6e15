"""Bytes in one of many forms → a `Seminar` with warnings; each sibling module reads one form."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

from notifier.errors import Problem, SourceError, TalkListError
from notifier.talks import Seminar

# In the order in which they are asked whether a text is theirs: ours first, as the one that a daemon reads at every
# start, then the most certain, and the seminar's page last.
FORMS = ("toml", "ics", "records", "table", "page")

# What makers of sites such as Jekyll and Hugo read above a page, and none of its readers sees. Keys that could tell of
# a talk, like a date or a speaker, are not among these: a talk may stand between two rules as well.
_KEYS_OF_SITE = (
    "aliases|categories|draft|excerpt|header|lang|layout|menu|nav|nav_order|parent|permalink"
    "|redirect_from|sidebar|slug|subtitle|tags|toc|type|weight"
)
_FRONT_MATTER = re.compile(
    r"---[ \t]*\n(?=[a-z])"
    rf"((?:(?:author|description|summary|title|url|{_KEYS_OF_SITE}):.*\n|[ \t#-].*\n|\n)+?)"
    r"---[ \t]*\n"
)
# An announcement that came by mail; what stands in its head, its own date above all, is not the talk's.
_MAIL_HEAD = re.compile(
    r"\A\s*(?=(?:.*\n){0,6}(?:From|发件人)\s?[:：])(?=(?:.*\n){0,6}(?:Subject|主题)\s?[:：])"
    r"(?:(?:From|To|Cc|Subject|Date|Sent|Reply-To|List-[A-Z][a-z]+|发件人|收件人|抄送|主题|日期|时间|发送时间)\s?[:：].*\n"
    r"(?:[ \t]+\S.*\n)*){2,}"
)
# A post for each talk has the talk's own keys there, among those of the site and in quotes.
_POST = re.compile(r"---[ \t]*\n(?=[a-z])((?:[a-z_-]+:.*\n|[ \t#-].*\n|\n)+?)---[ \t]*\n")
_OF_SITE = re.compile(rf"^(?:{_KEYS_OF_SITE}):.*\n(?:[ \t-].*\n)*", re.MULTILINE)
_QUOTED = re.compile(r"""^([a-z_-]+:[ \t]+)(["'])(.*)\2[ \t]*$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Context:
    """What a list's text leaves unsaid: whose it is and in which zone its times are.

    `is_zone_said` is False where nobody named the zone, so that it is a guess that people must hear of.
    """

    id: str = "seminar"
    name: str = ""
    timezone: str = "Asia/Shanghai"
    source: str = ""
    is_zone_said: bool = True

    def doubts_of_zone(self, line: int | None) -> tuple[Problem, ...]:
        """What to tell of a list that names no zone, by the line of its first time; none where it has no such time."""
        if line is None or self.is_zone_said:
            return ()
        told = f"the list names no time zone; its times were read as {self.timezone}"
        return (Problem(told, "name the seminar's own with --timezone, or in config.toml", line=line),)


@dataclass(frozen=True, slots=True)
class Reading:
    """A talk list as it was read. `has_ids` tells whether the sessions' ids are the organiser's own words.

    Where they are not, an id is only a proposal made from the date, and `revisions` recognises the sessions.
    """

    seminar: Seminar
    warnings: tuple[Problem, ...] = field(default=())
    has_ids: bool = False


class Form(Protocol):
    """What every sibling module offers."""

    def fits(self, text: str) -> bool:
        """Whether the text looks like this form; cheap, and wrong only on texts that are hardly of any form."""
        ...

    def read(self, text: str, context: Context) -> Reading:
        """The seminar in the text. Raises TalkListError with every problem at once."""
        ...


def read(data: bytes, context: Context, form: str = "") -> Reading:
    """The talk list in these bytes, in the form named or, when none is, in the form that it looks like.

    Raises:
        SourceError: the bytes are text in no known encoding.
        TalkListError: they cannot be used; every problem at once, with its line.
    """
    text = decode(data, context.source)
    if not text.strip():
        raise TalkListError(Problem("there is nothing in it", "put the talk list back", context.source))
    name = form or next((name for name in FORMS if _form(name).fits(text)), "")
    if not name:
        raise TalkListError(
            Problem(
                "this is no talk list in a known form",
                f"say which with --format {'|'.join(FORMS)}",
                context.source,
            )
        )
    if name in ("table", "page"):
        text = _MAIL_HEAD.sub(lambda head: "\n" * head.group().count("\n"), text, count=1)
        text, title = _without_front_matter(text)
        context = replace(context, name=context.name or title)
    try:
        reading = _form(name).read(text, context)
    except TalkListError as error:
        raise TalkListError(p.in_source(context.source) for p in error.problems) from error
    return replace(reading, warnings=tuple(w.in_source(context.source) for w in reading.warnings))


def _without_front_matter(text: str) -> tuple[str, str]:
    """The text with blank lines in place of its front matter, if it has one, and the title in that."""
    found = _FRONT_MATTER.match(text)
    if not found:
        return _post(text), ""
    title = re.search(r"^title:[ \t]*(.*?)[ \t]*$", found[1], re.MULTILINE)
    return "\n" * found[0].count("\n") + text[found.end() :], title[1].strip("\"'") if title else ""


def _post(text: str) -> str:
    """The text with only what may tell of a talk in its front matter, if it has one, and every line in its place."""
    found = _POST.match(text)
    if not found:
        return text
    bare = _OF_SITE.sub(lambda site: "\n" * site.group().count("\n"), found[1])
    return text[: found.start(1)] + _QUOTED.sub(r"\1\3", bare) + text[found.end(1) :]


def _form(name: str) -> Form:
    # Imported by name because each form brings its own parser, and a daemon needs one of them.
    return cast("Form", importlib.import_module(f"{__name__}.{name}"))


def decode(data: bytes, source: str = "") -> str:
    """The text of these bytes with LF line breaks: UTF-8, UTF-16 or GB18030, with or without a byte order mark."""
    for encoding in _encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    line = data[: _first_bad(data)].count(b"\n") + 1
    raise SourceError(Problem("the text is in no known encoding", "save it as UTF-8", source, line))


def _encodings(data: bytes) -> Iterator[str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield "utf-16"
        return
    # A NUL is in no text list: where every second byte of the start is one, the text is UTF-16 without its mark.
    head = data[:400]
    if head[1::2].count(0) > len(head) // 8:
        yield "utf-16-le"
    if head[0::2].count(0) > len(head) // 8:
        yield "utf-16-be"
    if b"\0" not in data:
        yield "utf-8"
        yield "gb18030"


def _first_bad(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0
