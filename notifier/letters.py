"""What there is to say of a session + templates → subject, text and HTML, with holes where the reader comes in."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from gettext import GNUTranslations, NullTranslations
from itertools import product
from traceback import walk_tb
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import css_inline
import jinja2
from babel import lists
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from notifier import differences, moments
from notifier.differences import Field
from notifier.errors import Problem, TemplateError
from notifier.mathtext import plain_math
from notifier.moments import Clock, clock
from notifier.notices import Kind
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk

# A mail's language → its tag in BCP 47 and the CLDR locale of its lists.
LANGUAGES = MappingProxyType({"zh": ("zh-CN", "zh_Hans_CN"), "en": ("en", "en")})
SHIPPED = "shipped/"  # before a template's name: the shipped one, even where an operator has another
LARGEST_HTML = 90_000  # octets; above 102 kB Gmail cuts a mail off and with it the way to unsubscribe

NAME, ADDRESS, UNSUBSCRIBE_URL = "\ufdd0", "\ufdd1", "\ufdd2"  # holes


@dataclass(frozen=True, slots=True)
class Reader:
    """What a template may know of the person it writes to: holes. `name` is empty for those without one."""

    name: str = NAME
    address: str = ADDRESS
    unsubscribe_url: str = UNSUBSCRIBE_URL


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as everybody of one language and one zone gets it, but for the holes."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Matter:
    """What a letter is about. `before` is the session as its readers know it, where the letter tells of a change."""

    kind: Kind
    session: Session
    seminar: Seminar
    base_url: str
    before: Session | None = None


def write(templates: Templates, matter: Matter, language: str, zone: str = "", *, named: bool = True) -> Letter:
    """The letter for readers of this language by the clocks of this zone, by the session's own where it is "".

    `named` tells whether its readers have names. A letter too long for mail programs is written with shortened texts.

    Raises:
        TemplateError: a template failed, or even the shortened letter is too long.
    """
    values = _values(matter, language, zone)
    values["subject"] = " ".join(templates.render("mail/subject.txt", language, values).split())
    values["reader"] = Reader() if named else Reader(name="")
    text = templates.render(f"mail/{matter.kind}.txt", language, values)
    html = _html(templates, f"mail/{matter.kind}.html", language, values)
    return Letter(values["subject"], re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", html)


def _html(templates: Templates, name: str, language: str, values: dict[str, Any]) -> str:
    html = _with_styles(templates.render(name, language, values), name)
    if len(html.encode()) <= LARGEST_HTML:
        return html
    html = _with_styles(templates.render(name, language, values | {"in_full": False}), name)
    if (size := len(html.encode())) > LARGEST_HTML:
        raise TemplateError(Problem(f"it makes {size} octets of HTML, more than {LARGEST_HTML}", "shorten it", name))
    return html


def _values(matter: Matter, language: str, zone: str) -> dict[str, Any]:
    """What templates know by name, but for the reader."""
    session, before = matter.session, matter.before
    changes = differences.differences(before, session) if before else ()
    has_moved = any(change.field is Field.TIME for change in changes)
    return {
        "kind": str(matter.kind),
        "in_full": matter.kind is Kind.ANNOUNCEMENT,
        "seminar": matter.seminar,
        "session": _by_the_clock(session, zone),
        "clocks": _clocks(session, zone, language),
        "clocks_before": _clocks(before, zone, language) if before and has_moved else (),
        "is_back": before is not None and before.is_cancelled and not session.is_cancelled,
        # The time is not described among them: the letter shows it by the reader's own clock.
        "changes": [differences.describe(c, language) for c in changes if c.field is not Field.TIME],
        "base_url": matter.base_url,
        "page_url": f"{matter.base_url}/sessions/{quote(session.id, safe='')}",
    }


def _clocks(session: Session, zone: str, language: str) -> tuple[Clock, ...]:
    """The session's time by the reader's clock and then, where that shows another time, by the seminar's."""
    show = partial(clock, session.start, session.end, language=language, home=session.timezone)
    here, home = show(zone=zone or session.timezone), show(zone=session.timezone)
    return (home,) if here.offset == home.offset else (here, home)


def _by_the_clock(session: Session, zone: str) -> Session:
    """The session with the slots of its talks as the reader's clock shows them, like the first of `_clocks`."""
    at = ZoneInfo(zone or session.timezone)
    talks = (
        replace(t, start=t.start and t.start.astimezone(at), end=t.end and t.end.astimezone(at)) for t in session.talks
    )
    return replace(session, talks=tuple(talks))


# Rules for the dark and for narrow screens stay in the head, where the programs that know them look.
_INLINER = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


def _with_styles(html: str, name: str) -> str:
    try:
        return _INLINER.inline(html)
    except css_inline.InlineError as error:
        raise TemplateError(Problem(f"its styles cannot be used: {error}", "mend mail/mail.css", name)) from error


class Templates:
    """The shipped templates of `mail/`, an operator's in the place of those of the same name, once for each language.

    Both are texts by their paths under a templates folder. A template reaches a shipped one that was replaced as
    `shipped/mail/reminder.html`, and so may extend it. Words are taken from `locale/<language>/LC_MESSAGES/mail.po`.
    Whatever is wrong with them is told by `problems`, or when it is needed.
    """

    def __init__(self, shipped: Mapping[str, str], overrides: Mapping[str, str] = MappingProxyType({})) -> None:
        self._texts = {SHIPPED + name: text for name, text in shipped.items()} | {**shipped, **overrides}
        self._environments = self._all_environments(jinja2.StrictUndefined)

    def render(self, name: str, language: str, values: Mapping[str, Any]) -> str:
        """The template in this language. Raises TemplateError with the file and line that failed."""
        try:
            return self._environments[language, name.endswith(".html")].get_template(name).render(values)
        except Exception as error:  # a template can raise whatever its expressions do
            raise TemplateError(_problem(error)) from error

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with them, found by writing a sample of every kind of letter in every language."""
        found = [*self._catalogue_problems(), *self._syntax_problems()]
        return tuple(dict.fromkeys(found or self._letter_problems()))

    # Whether values are escaped is decided by what is being written, not by the file that a macro stands in: Jinja
    # takes what a macro returns to HTML for escaped, even where it comes from a file of text and is not.
    def _all_environments(self, undefined: type[jinja2.Undefined]) -> dict[tuple[str, bool], jinja2.Environment]:
        kinds = product(LANGUAGES, (False, True))
        return {(language, is_html): self._environment(language, is_html, undefined) for language, is_html in kinds}

    def _environment(self, language: str, is_html: bool, undefined: type[jinja2.Undefined]) -> jinja2.Environment:
        environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FunctionLoader(self._load),
            extensions=["jinja2.ext.i18n"],
            autoescape=is_html,
            undefined=undefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        tag, locale = LANGUAGES[language]
        environment.globals |= {"language": language, "tag": tag}
        environment.filters |= _filters(locale)
        environment.install_gettext_translations(self._translations(language), newstyle=True)  # type: ignore[attr-defined]
        return environment

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        # The name goes for the file's, so that a traceback tells which template failed.
        return (self._texts[name], name, lambda: True) if name in self._texts else None

    def _translations(self, language: str) -> NullTranslations:
        """An operator's words and, where those say nothing, the shipped ones."""
        translations = NullTranslations()
        for prefix in ("", SHIPPED):
            name = f"{prefix}locale/{language}/LC_MESSAGES/mail.po"
            if name in self._texts:
                with suppress(TemplateError):  # it is told by `problems`, and English words are better than none
                    translations.add_fallback(_compiled(_catalogue(name, self._texts[name])))
        return translations

    def _catalogue_problems(self) -> Iterator[Problem]:
        for name, text in sorted(self._texts.items()):
            if name.startswith("locale/") and name.endswith("/mail.po"):
                try:
                    checked = _catalogue(name, text).check()
                except TemplateError as error:
                    yield from error.problems
                    continue
                for message, errors in checked:
                    yield from (Problem(str(error), "mend the catalogue", name, message.lineno) for error in errors)

    def _syntax_problems(self) -> Iterator[Problem]:
        environment = next(iter(self._environments.values()))
        for name in sorted(self._texts):
            if name.startswith("mail/"):
                try:
                    environment.get_template(name)
                except jinja2.TemplateError as error:
                    yield _problem(error)

    def _letter_problems(self) -> Iterator[Problem]:
        found: list[Problem] = []
        lenient = copy(self)
        lenient._environments = self._all_environments(_recorder(found))
        for matter, language in product(_samples(), LANGUAGES):
            try:
                letter = write(lenient, matter, language, "America/New_York", named=bool(matter.session.talks))
            except TemplateError as error:
                found += error.problems
                continue
            for suffix, body in (("txt", letter.text), ("html", letter.html)):
                if UNSUBSCRIBE_URL not in body:
                    advice = "write {{ reader.unsubscribe_url }} in it, as the shipped layout does"
                    yield Problem("it has no link to unsubscribe", advice, f"mail/{matter.kind}.{suffix}")
        yield from found


def _catalogue(name: str, text: str) -> Catalog:
    try:
        catalogue = read_po(io.StringIO(text), abort_invalid=True)
    except PoFileError as error:  # it counts lines from 0
        what = f"{str(error).rpartition(' on ')[0]}: '{error.line}'"
        raise TemplateError(Problem(what, "mend the catalogue", name, error.lineno + 1)) from error
    except ValueError as error:
        raise TemplateError(Problem(str(error), "mend the catalogue", name)) from error
    catalogue.charset = "utf-8"  # whatever its header says, the text was read already
    return catalogue


def _compiled(catalogue: Catalog) -> GNUTranslations:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)


def _problem(error: Exception) -> Problem:
    """What went wrong in which line of which template."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return Problem(error.message or "it does not compile", "mend the template", error.name or "", error.lineno)
    if isinstance(error, jinja2.TemplateNotFound):
        return Problem(f"there is no template {error.name}", "mend the name, or put the file there")
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    name, line = next((at for at in reversed(frames) if at[0].endswith((".html", ".txt", ".css"))), ("", None))
    return Problem(f"{type(error).__name__}: {error}", "mend the template", name, line)


def _recorder(found: list[Problem]) -> type[jinja2.Undefined]:
    """An undefined value that notes where it was used and then stands for nothing, so that all of them are found."""

    class Recorder(jinja2.ChainableUndefined):
        def _note(self) -> None:
            frame = sys._getframe(1)
            while frame and "__jinja_template__" not in frame.f_globals:
                frame = frame.f_back  # type: ignore[assignment]
            template = frame.f_globals["__jinja_template__"]
            line = template.get_corresponding_lineno(frame.f_lineno)
            found.append(Problem(self._undefined_message, "mend the name", template.name, line))

        def __str__(self) -> str:
            self._note()
            return ""

        def __iter__(self) -> Iterator[Any]:
            self._note()
            return iter(())

        def __bool__(self) -> bool:
            self._note()
            return False

    return Recorder


def _filters(locale: str) -> dict[str, Callable[..., Any]]:
    """How templates write texts, lists, meeting numbers and links."""
    return {
        "math": plain_math,
        "shortened": shortened,
        "lines": lambda text: Markup("<br>\n").join(escape(text).split("\n")),
        "listed": lambda items: lists.format_list(list(items), locale=locale),
        "grouped": grouped,
        "hour": moments.hour,
        "web": lambda url: url if re.match("https?://", url, re.IGNORECASE) else "",
        "tongue": lambda text: "zh-CN" if re.search("[\u4e00-\u9fff]", text) else "en",
    }


def grouped(number: str) -> str:
    """A meeting's number as its program writes it: 329 744 341, 553 2421 7498; anything else as it is."""
    digits = re.sub(r"[\s-]", "", number)
    if not re.fullmatch("[0-9]{9,11}", digits):
        return number
    middle = 6 if len(digits) < 11 else 7
    return f"{digits[:3]} {digits[3:middle]} {digits[middle:]}"


def shortened(text: str, limit: int = 280) -> str:
    """The text's first sentences or, where one alone is longer than the limit, its first words and an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    ends = [end.end() for end in re.finditer(r"[。！？]|[.!?](?=\s)", head)]
    if ends and ends[-1] > limit // 2:
        return head[: ends[-1]]
    words = head.rpartition(" ")[0]
    return (words if len(words) > limit * 3 // 4 else head).rstrip() + "…"


def _samples() -> Iterator[Matter]:
    """Of every kind a letter with all that one can hold, and one with hardly anything."""
    start = datetime(2021, 11, 27, 1, 30, tzinfo=UTC)
    end = start + timedelta(hours=2)
    talk = Talk(
        title="A Talk",
        title_zh="报告",
        speakers=(Speaker("Ada", ("University",), "https://example.org/ada"), Speaker("Bob")),
        start=start,
        end=end,
        abstract="An abstract. " * 40,
        bio="A life.",
        references=("A paper",),
        slides=Link("https://example.org/slides", "Slides"),
        replay="https://example.org/replay",
        kind="tutorial",
    )
    bare = Session("bare", start, end, "Asia/Shanghai")
    full = replace(
        bare,
        talks=(talk, Talk()),
        status=Status.TENTATIVE,
        notice="It starts late.",
        room=Room("https://meeting.tencent.com/dm/x", "123456789", "123456", "12345678901", "https://example.org/get"),
        livestream=Livestream("https://example.org/live", "live"),
    )
    before = replace(full, start=start - timedelta(days=7), status=Status.CANCELLED, room=Room())
    seminar = Seminar("sample", "Seminar", "Asia/Shanghai", name_zh="研讨会", homepage="https://example.org/")
    for kind in Kind:
        yield Matter(kind, full, seminar, "https://example.org", before)
        yield Matter(kind, bare, seminar, "https://example.org")
