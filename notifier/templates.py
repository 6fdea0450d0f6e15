"""Texts of templates and catalogues → templates compiled for each language, with every problem at its line."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from gettext import GNUTranslations, NullTranslations
from itertools import product
from traceback import walk_tb
from types import CodeType, MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

import jinja2
from babel import lists
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier import moments
from notifier.errors import Problem, TemplateError
from notifier.locations import did_you_mean
from notifier.talks import grouped

LANGUAGES = MappingProxyType({"zh": "zh-CN", "en": "en"})  # what we write in → its tag in BCP 47
SHIPPED = "shipped/"  # before a template's name: the shipped one, even where an operator has another


def idle(shipped: Mapping[str, str], overrides: Mapping[str, str]) -> tuple[Problem, ...]:
    """Which files of an operator change nothing: they replace no shipped one, and no other one of theirs names them."""
    return tuple(
        Problem(
            "it replaces no shipped template, and none of yours names it",
            did_you_mean(name, shipped, nearness=0.8) or "call it like the one that it is to replace",
            name,
        )
        for name in sorted(overrides.keys() - shipped.keys())
        if not any(name in text for other, text in overrides.items() if other != name)
    )


Filters = Mapping[str, Callable[..., Any]]


class TemplateFolder:
    """The shipped files of one folder, an operator's in the place of those of the same name, once for each language.

    `shipped` and `overrides` are texts by their paths under a templates folder. `folder` is the one of the templates,
    those of its files that end in one of `suffixes`, and the catalogues are called like it: the words of `mail` are in
    `locale/<language>/LC_MESSAGES/mail.po`. A template reaches a shipped one that was replaced as
    `shipped/mail/reminder.html`, and so may extend it. `filters` gives those for a language.

    Whatever is wrong with them is told by `problems`, or when it is needed.
    """

    def __init__(
        self,
        shipped: Mapping[str, str],
        overrides: Mapping[str, str],
        *,
        folder: str,
        suffixes: tuple[str, ...],
        filters: Callable[[str], Filters],
    ) -> None:
        self.texts = {SHIPPED + name: text for name, text in shipped.items()} | {**shipped, **overrides}
        self._folder, self._suffixes, self._filters = folder, suffixes, filters
        self._translations = {language: self._words(language) for language in LANGUAGES}
        self._code = {is_html: _Code() for is_html in (False, True)}
        self._environments = self._all_environments(jinja2.StrictUndefined)

    def text(self, name: str) -> str:
        """The file as it is. Raises TemplateError where there is none."""
        if name not in self.texts:
            raise TemplateError(self._problem(jinja2.TemplateNotFound(name)))
        return self.texts[name]

    def render(self, name: str, language: str, values: Mapping[str, Any]) -> str:
        """The template in this language. Raises TemplateError with the file and line that failed."""
        try:
            return self._template(name, language).render(values)
        except Exception as error:  # a template can raise whatever its expressions do
            raise TemplateError(self._problem(error)) from error

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with catalogues and templates before anything is rendered."""
        return (*self._catalogue_problems(), *self._syntax_problems())

    def noting(self, found: list[Problem]) -> Self:
        """The same templates, but where these stop at an unknown name, they add the problem to `found` and go on."""
        lenient = copy(self)
        lenient._environments = self._all_environments(_recorder(found))
        return lenient

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
            bytecode_cache=self._code[is_html],
        )
        environment.globals |= {"language": language, "tag": LANGUAGES[language]}
        environment.filters |= {name: _late(filtered) for name, filtered in self._filters(language).items()}
        environment.install_gettext_translations(self._translations[language], newstyle=True)  # type: ignore[attr-defined]
        return environment

    def _template(self, name: str, language: str) -> jinja2.Template:
        return self._environments[language, name.endswith(".html")].get_template(name)

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        # The name goes for the file's, so that a traceback tells which template failed.
        return (self.texts[name], name, lambda: True) if name in self.texts else None

    def _words(self, language: str) -> NullTranslations:
        """An operator's words and, where those say nothing, the shipped ones."""
        translations = NullTranslations()
        for prefix in ("", SHIPPED):
            name = f"{prefix}locale/{language}/LC_MESSAGES/{self._folder}.po"
            if name in self.texts:
                with suppress(TemplateError):  # it is told by `problems`, and English words are better than none
                    translations.add_fallback(_compiled(_catalogue(name, self.texts[name])))
        return translations

    def _catalogue_problems(self) -> Iterator[Problem]:
        for name, text in sorted(self.texts.items()):
            if name.startswith("locale/") and name.endswith(f"/{self._folder}.po"):
                try:
                    checked = _catalogue(name, text).check()
                except TemplateError as error:
                    yield from error.problems
                    continue
                for message, errors in checked:
                    yield from (Problem(str(error), "mend the catalogue", name, message.lineno) for error in errors)

    def _syntax_problems(self) -> Iterator[Problem]:
        language = next(iter(LANGUAGES))
        for name in sorted(self.texts):
            if name.startswith(f"{self._folder}/") and name.endswith(self._suffixes):
                try:
                    self._template(name, language)
                except jinja2.TemplateError as error:
                    yield self._problem(error)

    def _problem(self, error: Exception) -> Problem:
        """What went wrong in which line of which template."""
        if isinstance(error, jinja2.TemplateSyntaxError):
            what = (error.message or "it does not compile").rstrip(".")
            return Problem(what, "mend the template", error.name or "", error.lineno)
        if isinstance(error, jinja2.TemplateNotFound):
            return Problem(f"there is no template {error.name}", "mend the name, or put the file there")
        frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
        name, line = next((at for at in reversed(frames) if at[0] in self.texts), ("", None))
        return Problem(f"{type(error).__name__}: {error}", "mend the template", name, line)


def _late(filtered: Callable[..., Any]) -> Callable[..., Any]:
    """The filter as one that is never applied while a template is compiled, since that is done once for all languages.

    Jinja works out what a filter makes of a constant, unless the filter asks for the context.
    """

    @jinja2.pass_context
    def late(_context: jinja2.runtime.Context, *values: Any, **named: Any) -> Any:
        return filtered(*values, **named)

    return late


class _Code(jinja2.BytecodeCache):
    """What was compiled of each template, for every environment that differs in words, filters and globals only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._kept[bucket.key, bucket.checksum] = bucket.code


def common_filters(locale: str) -> Filters:
    """How all templates write hours, meeting numbers, lists (as this CLDR locale has them), links and languages."""
    return {
        "hour": moments.hour,
        "grouped": grouped,
        "listed": lambda items: lists.format_list(list(items), locale=locale),
        "web": _web,
        "tongue": lambda text: LANGUAGES["zh" if re.search("[\u4e00-\u9fff]", text) else "en"],
    }


def _web(url: str) -> str:
    """The address where it is one of the web, else "": a link of a talk list must not run as a script."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.netloc else ""


def _catalogue(name: str, text: str) -> Catalog:
    """The catalogue in this text; where no header tells how many plurals there are, the language in its name does."""
    try:
        catalogue = read_po(io.StringIO(text), locale=name.split("/")[-3], abort_invalid=True)
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
