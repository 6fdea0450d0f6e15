"""A text with LaTeX in it → the same text in Unicode, for mail and calendars that show plain text."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_letters

# As in Pandoc, a dollar opens a formula only before a character and closes one only after a character and not before
# a digit, so that "$5 and $6" stays what it is.
_FORMULA = re.compile(
    r"(?<!\\)\$\$(?P<display>[^$]+)\$\$"
    r"|(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\d$])"
    r"|\\\((?P<round>(?:[^\\]|\\[^(])+?)\\\)"
    r"|\\\[(?P<square>(?:[^\\]|\\[^\[])+?)\\\]"
)
# Outside of formulas only a command with what hangs on it counts: `\hat{\theta}_n`, `\mathbb R^{d}`.
_BARE = re.compile(
    r"\\(?P<name>[A-Za-z]{2,})(?:(?<=\\mathbb) [A-Z]\b)?"
    r"(?: ?\{[^{}$\n]*\}|[_^](?:\{[^{}$\n]*\}|\\[A-Za-z]+|\w)|\\[A-Za-z]{2,})*"
)
_OPERATION = re.compile(r"[\\^_=<>+*/|]")
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)|(.))", re.DOTALL)
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*(?:\{([^{}]*)\}|([^\s{}\\]))")
_ARGUMENT = re.compile(r"\\(?![dtc]?frac|sqrt)([A-Za-z]+)(?![A-Za-z])\*?\s*(?:\{([^{}\\]*)\}|([^\s{}\\]))")
_SCRIPT = re.compile(r"([_^])(?:\{([^{}\\]*)\}|([^\s{}\\]))")
_ACCENT = re.compile(r"""\\(["'`^~=.])(?:\{([A-Za-z])\}|([A-Za-z]))""")

_ACCENTS = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307"}
_MORE_MARKS = {"widehat": "\u0302", "widetilde": "\u0303", "check": "\u030c", "mathring": "\u030a"}
_FONTS = {"mathbb": "mathbb", "mathds": "mathbb", "mathcal": "mathcal", "mathscr": "mathcal", "mathfrak": "mathfrak"}
_is_plain_font = re.compile(
    "text(bf|it|rm|sf|tt|sc)?|emph|math(rm|bf|it|sf|tt)|boldsymbol|bm|operatorname|[mh]box|(under|over)brace"
).fullmatch
_is_name = re.compile(
    "arg|(arg)?(max|min)|(lim)?(sup|inf)|lim|log|l[ng]|exp|(arc)?(sin|cos|tan)|(sin|cos|tan)h|cot|sec|csc"
    "|det|dim|ker|deg|gcd|hom|Pr|[bp]?mod"
).fullmatch
_is_invisible = re.compile("left|right|[bB]igg?[lr]?|(no)?limits|(display|text)style").fullmatch
_MORE_SYMBOLS = {"lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "dots": "…", "langle": "⟨", "rangle": "⟩"}
_SPACES = frozenset(["quad", "qquad", "space", ",", ";", ":", " ", "\\"])
_SPARED = {"{": "\x01", "}": "\x02", "_": "\x03", "^": "\x04"}  # literal ones, kept from being read as markup
_UNSPARED = str.maketrans({kept: character for character, kept in _SPARED.items()} | {"{": "", "}": ""})
_DEEPEST = 8


def plain_math(text: str) -> str:
    r"""The text with its LaTeX in Unicode: `$\nu\in\mathbb{R}^{d}$` becomes `ν∈ℝᵈ`, `Schr\"odinger` Schrödinger.

    What has no plain form keeps its letters (`\frac{a}{b}` becomes `a/b`); a backslash that begins nothing known and
    a dollar that opens no formula stay. Never fails, and costs nothing on a text without either.
    """
    if "\\" not in text and "$" not in text:
        return text
    text = _FORMULA.sub(_formula_or_prices, text)
    text = _BARE.sub(_bare_command, text)
    text = _ACCENT.sub(lambda found: (found[2] or found[3]) + _ACCENTS[found[1]], text)
    text = re.sub(r"\\([$%&#_{}])", r"\1", text)
    return unicodedata.normalize("NFC", text)


def parted(text: str) -> Iterator[tuple[str, str]]:
    r"""The text in its parts, in order: its words as ("", words), a formula's TeX as ("inline" or "block", TeX)."""
    end = 0
    for found in _FORMULA.finditer(text):
        if _is_price(found):
            continue
        yield "", text[end : found.start()]
        yield "block" if found.lastgroup in ("display", "square") else "inline", found[found.lastgroup or 0]
        end = found.end()
    yield "", text[end:]


@dataclass(frozen=True, slots=True)
class _Tables:
    symbols: dict[str, str]
    marks: dict[str, str]
    scripts: dict[str, str]


@functools.cache
def _tables() -> _Tables:
    # Imported late, as most texts have no formula. Only the tables of unicodeit are used: its `replace` goes by
    # prefixes and makes `ℎatθ` of `\hat\theta` and `łVert` of `\lVert`.
    from unicodeit.data import COMBININGMARKS, REPLACEMENTS, SUBSUPERSCRIPTS

    symbols = {tex.removeprefix("\\"): plain for tex, plain in REPLACEMENTS}
    marks = {tex.removeprefix("\\"): mark for tex, mark in COMBININGMARKS}
    # Two of its superscripts only look like one: a Hangul letter for V and a Canadian syllable for the full stop.
    scripts = {tex: plain for tex, plain in SUBSUPERSCRIPTS if tex not in ("^V", "^.")}
    return _Tables(symbols | _MORE_SYMBOLS, marks | _MORE_MARKS, scripts | {"^V": "ⱽ", "^∗": "*", "^'": "′"})


def _formula_or_prices(found: re.Match[str]) -> str:
    return found[0] if _is_price(found) else _formula(found[found.lastgroup or 0])


def _is_price(found: re.Match[str]) -> bool:
    """Whether the dollars stand for money: several words between them, and nothing of a formula."""
    return found.lastgroup == "inline" and " " in found["inline"] and not _OPERATION.search(found["inline"])


def _bare_command(found: re.Match[str]) -> str:
    name = found["name"]
    known = name in _tables().symbols or _is_name(name) or _takes_argument(name)
    return _formula(found[0]) if known else found[0]


def _takes_argument(name: str) -> bool:
    return bool(name in _tables().marks or name in _FONTS or _is_plain_font(name) or name.endswith(("frac", "sqrt")))


@functools.lru_cache(1024)
def _formula(tex: str) -> str:
    """A formula from the inside out: symbols first, then innermost braces, as deep as anyone nests them."""
    tex = _COMMAND.sub(_symbol, tex)
    for _ in range(_DEEPEST):
        before = tex
        tex = _ARGUMENT.sub(_with_argument, tex)
        tex = _SCRIPT.sub(_script, tex)
        tex = _FRACTION.sub(lambda f: f"{_grouped(f[1])}/{_grouped(f[2])}", tex)
        tex = _ROOT.sub(lambda f: f"√{_grouped(f[1] or f[2] or '')}", tex)
        if tex == before:
            break
    return " ".join(re.sub(r"\\([A-Za-z]+)", r"\1", tex).translate(_UNSPARED).split())


def _symbol(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    if name in _SPACES:
        return " "
    if name == "!" or _is_invisible(name):
        return ""
    if _is_name(name):
        return name + " " * found.string.startswith(("\\", *ascii_letters), found.end())
    if _takes_argument(name):
        return found[0]
    if found[2]:
        return _SPARED.get(name, "‖" if name == "|" else name)
    return _tables().symbols.get(name, found[0])


def _with_argument(found: re.Match[str]) -> str:
    name, body = found[1], found[2] if found[2] is not None else found[3]
    if name in _tables().marks:
        return "".join(character + _tables().marks[name] for character in body)
    if name in _FONTS:
        symbols = _tables().symbols
        return "".join(symbols.get(f"{_FONTS[name]}{{{character}}}", character) for character in body)
    return body if _is_plain_font(name) else f"{name} {found[0][len(name) + 1 :].lstrip()}"


def _script(found: re.Match[str]) -> str:
    mark, body = found[1], (found[2] if found[2] is not None else found[3]).strip()
    scripts = _tables().scripts
    characters = [scripts.get(mark + character) for character in body]
    if all(characters):
        return "".join(filter(None, characters))
    return _SPARED[mark] + _grouped(body)


def _grouped(body: str) -> str:
    """The part of a formula, in parentheses where it would otherwise run into its neighbours."""
    return body if len(body) <= 1 or body.isalnum() else f"({body})"
