"""A text with LaTeX in it → HTML whose formulas are MathML, which browsers draw without any script."""

from __future__ import annotations

import functools
from xml.etree import ElementTree

from markupsafe import Markup, escape

from notifier.mathtext import parted, plain_math
from notifier.paragraphs import unwrapped

_LONGEST = 2_000  # characters of TeX; the longest formula of any abstract seen has 200
_WIDE = 40  # characters of TeX, above which it may be wider than a telephone and gets a place to be scrolled in
# latex2mathml hands on what stands in \text, \href, \style and \class as it is, so that a talk list could bring in
# any markup. Only what draws a formula passes.
_TAGS = frozenset([
    "math", "maction", "menclose", "merror", "mfenced", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover",
    "mpadded", "mphantom", "mprescripts", "mroot", "mrow", "ms", "mspace", "msqrt", "mstyle", "msub", "msubsup",
    "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover", "none",
])  # fmt: skip
_ATTRIBUTES = frozenset([
    "accent", "columnalign", "columnlines", "columnspacing", "depth", "display", "displaystyle", "fence", "form",
    "height", "largeop", "linebreak", "linethickness", "lspace", "mathcolor", "mathsize", "mathvariant", "maxsize",
    "minsize", "movablelimits", "notation", "rowlines", "rowspacing", "rspace", "scriptlevel", "separator",
    "stretchy", "symmetric", "voffset", "width",
])  # fmt: skip
_NAMESPACE = "http://www.w3.org/1998/Math/MathML"


def with_formulas(text: str) -> Markup:
    """The text as HTML: formulas are drawn, and paragraphs have no line breaks of an editor's. Never fails."""
    text = unwrapped(text)
    if "\\" not in text and "$" not in text:
        return escape(text)
    parts = list(parted(text))
    return Markup("").join(
        _formula(part, kind) if kind else escape(plain_math(_beside(parts, at)))
        for at, (kind, part) in enumerate(parts)
    )


def _beside(parts: list[tuple[str, str]], at: int) -> str:
    """The words at this place without the line breaks next to a formula set apart, which brings room of its own."""
    words = parts[at][1]
    if at and parts[at - 1][0] == "block":
        words = words.lstrip("\n")
    if at + 1 < len(parts) and parts[at + 1][0] == "block":
        words = words.rstrip("\n")
    return words


@functools.lru_cache(1024)
def _formula(tex: str, display: str) -> Markup:
    return _mathml(tex, display) or escape(plain_math(f"${tex}$"))


def _mathml(tex: str, display: str) -> Markup | None:
    # Imported late, as it reads a table of all symbols and most lists have no formula.
    from latex2mathml.converter import convert

    if len(tex) > _LONGEST:
        return None
    try:
        mathml = convert(tex, display=display)
        is_safe = all(map(_draws, ElementTree.fromstring(mathml).iter()))  # noqa: S314 - made here, and has no DTD
    except Exception:  # it raises whatever its tables and indices do on TeX that it does not know
        return None
    if not is_safe:
        return None
    # With a tab stop, because what can be scrolled must be within the keyboard's reach.
    wide = f'<span class="formula" tabindex="0">{mathml}</span>'
    return Markup(wide if len(tex) > _WIDE else mathml)  # noqa: S704 - every tag and attribute is on the lists above


def _draws(element: ElementTree.Element) -> bool:
    return element.tag.removeprefix(f"{{{_NAMESPACE}}}") in _TAGS and element.attrib.keys() <= _ATTRIBUTES
