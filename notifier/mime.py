"""Headers, and texts with holes → the bytes of e-mail (RFC 5322, RFC 2045-2047), in ASCII and ready for the wire.

The standard library's `email` takes 4 ms for a message that differs from the last one in a name and a link, and none of
its policies writes all headers right: a long List-Unsubscribe becomes encoded-words, which Gmail does not read. Here a
message is laid out once as a `Skeleton`; filling its holes for one reader takes microseconds. It stays the test oracle.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from notifier.talks import clean_line

# A hole is one Unicode noncharacter: `talks` lets none of them into a text, so nobody can forge one, and no filter of a
# template alters it. Its name is what it is in the template's text and in the values to fill it with.
HOLES = re.compile("([\ufdd0-\ufdef])")

_LINE = 78  # characters in a header line that everybody can show (RFC 5322 section 2.1.1)
_ENCODED_LINE = 76  # in a line that holds an encoded-word, and in a line of a body (RFC 2047 section 2, RFC 2045)
_WORD = 75  # in one encoded-word
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


def text_header(name: str, text: str) -> str:
    """The header with this text, folded; in encoded-words where it is not plain ASCII."""
    text = clean_line(text)
    if not _is_plain(text):
        return f"{name}: {_encoded(text, len(name) + 2)}\r\n"
    lines = [f"{name}:"]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"


def mailbox_header(name: str, phrase: str, address: str) -> str:
    """The header with one address, or a List-Id, after the phrase that says whose it is; the address as it stands."""
    phrase = clean_line(phrase)
    if not phrase:
        return token_header(name, f"<{address}>")
    written = phrase
    if not _PLAIN_PHRASE.fullmatch(phrase):
        written = '"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not _is_plain(phrase) or len(name) + len(written) + 2 > _LINE:
        written = _encoded(phrase, len(name) + 2)
    last = f"{name}: {written}".rpartition("\r\n")[2]
    gap = " " if len(last) + len(address) + 3 <= _ENCODED_LINE else "\r\n "
    return f"{name}: {written}{gap}<{address}>\r\n"


def token_header(name: str, *tokens: str) -> str:
    """The header with tokens that must stay whole: folded at the commas between them and nowhere else."""
    return f"{name}: " + ",\r\n ".join(tokens) + "\r\n"


def _is_plain(text: str) -> bool:
    """Whether the text can be a header's as it is: ASCII, with words that fold, and none that looks encoded."""
    return text.isascii() and "=?" not in text and max(map(len, text.split(" "))) < _LINE - 20


def _encoded(text: str, column: int) -> str:
    """The text as folded encoded-words, each of whole characters, the first beginning at this column."""
    rest, room = text.encode("utf-8", "replace"), _ENCODED_LINE - column
    words: list[str] = []
    while len(rest) > (most := (room - len("=?utf-8?b??=")) // 4 * 3):
        ends = [end for end in range(most, 0, -1) if _begins_character(rest[end])]
        # GMime, by which notmuch, mu and Geary read, joins words in base64 before it decodes them and stops at the
        # first padding: a word before others has none or, where no end of a character allows that, is no base64.
        if end := next((end for end in ends if end % 3 == 0), 0):
            words.append(f"=?utf-8?b?{b64encode(rest[:end]).decode()}?=")
        else:
            end = ends[-1]
            words.append(f"=?utf-8?q?{''.join(f'={octet:02X}' for octet in rest[:end])}?=")
        rest, room = rest[end:], _WORD
    return "\r\n ".join((*words, f"=?utf-8?b?{b64encode(rest).decode()}?="))


def _begins_character(octet: int) -> bool:
    """Whether a character of UTF-8 begins with the octet, and not only goes on."""
    return octet & 0xC0 != 0x80


@dataclass(frozen=True, slots=True)
class Part:
    """One text of a message, perhaps with holes. `escape` writes a value as the text's own language wants it."""

    content_type: str
    text: str
    disposition: str = ""
    escape: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Multipart:
    """Parts that belong together as the subtype says (RFC 2046 section 5.1)."""

    subtype: str
    parts: tuple[Part | Multipart, ...]


class WireText(bytes):
    """A message that can go through SMTP as it is: no line ends in anything but CRLF, and none begins with a dot."""

    __slots__ = ()


class _Filler(Protocol):
    @property
    def holes(self) -> list[str]: ...
    def fill(self, values: Mapping[str, str]) -> list[bytes]: ...


class Skeleton:
    """A message laid out but for its reader's own headers and the values in its holes."""

    def __init__(self, headers: str, body: Part | Multipart) -> None:
        described, self._pieces = _lay_out(body)
        self._headers = _checked(f"{headers}MIME-Version: 1.0\r\n{described}") + b"\r\n"
        self.holes = frozenset(hole for piece in self._pieces if not isinstance(piece, bytes) for hole in piece.holes)

    def fill(self, headers: str, values: Mapping[str, str]) -> WireText:
        """The message with these headers in front and a value in every one of its `holes`.

        Raises ValueError: a header holds a line that would end the message, or the headers, early.
        """
        written = [_checked(headers), self._headers]
        for piece in self._pieces:
            if isinstance(piece, bytes):
                written.append(piece)
            else:
                written += piece.fill(values)
        return WireText(b"".join(written))


_HEADERS = re.compile(r"(?:[!-9;-~]+:[\t -~]*\r\n(?:[\t ][\t -~]*\r\n)*)*")


def _checked(headers: str) -> bytes:
    # The last line of defence: whatever found its way into a header becomes neither another one nor a text.
    if not _HEADERS.fullmatch(headers):
        raise ValueError(f"expected header lines in ASCII that end in CRLF, got {headers!r}")
    return headers.encode("ascii")


def _lay_out(body: Part | Multipart) -> tuple[str, list[bytes | _Filler]]:
    if isinstance(body, Part):
        return _lay_out_part(body)
    laid = [_lay_out(part) for part in body.parts]
    # The same parts get the same boundary, and none can hold it: quoted-printable has no "=_", base64 no "_".
    boundary = "=_" + hashlib.sha256(repr(_content(body)).encode()).hexdigest()[:24]
    pieces: list[bytes | _Filler] = []
    for described, inner in laid:
        pieces += [f"--{boundary}\r\n{described}\r\n".encode("ascii"), *inner, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return f'Content-Type: multipart/{body.subtype}; boundary="{boundary}"\r\n', pieces


def _content(body: Part | Multipart) -> tuple[object, ...]:
    if isinstance(body, Part):
        return body.content_type, body.text
    return body.subtype, *map(_content, body.parts)


def _lay_out_part(part: Part) -> tuple[str, list[bytes | _Filler]]:
    """The part in the encoding in which it is shorter; never in 8 bits, so that no relay has to rewrite it."""
    segments = HOLES.split(part.text)
    quoted, based = _Quoted(segments, part.escape), _Based(segments, part.escape)
    name, body = ("base64", based) if len(based) < len(quoted) else ("quoted-printable", quoted)
    disposition = f"Content-Disposition: {part.disposition}\r\n" if part.disposition else ""
    described = f"Content-Type: {part.content_type}\r\nContent-Transfer-Encoding: {name}\r\n{disposition}"
    return described, [body if len(segments) > 1 else b"".join(body.fill({}))]


class _Quoted:
    """A text in quoted-printable (RFC 2045 section 6.7), each hole on lines of its own with soft breaks around it."""

    def __init__(self, segments: list[str], escape: Callable[[str], str]) -> None:
        self._fixed = [_soft(quoted_printable(text)) for text in segments[:-1:2]]
        self._last = quoted_printable(segments[-1]).encode("ascii")
        self.holes = segments[1::2]
        self._escape = escape

    def __len__(self) -> int:
        return sum(map(len, self._fixed)) + len(self._last)

    def fill(self, values: Mapping[str, str]) -> list[bytes]:
        written: list[bytes] = []
        for fixed, hole in zip(self._fixed, self.holes, strict=True):
            written += fixed, _soft_value(self._escape(values[hole]))
        written.append(self._last)
        return written


@lru_cache(64)  # a link is in the text and in the HTML of a mail
def _soft_value(text: str) -> bytes:
    return _soft(quoted_printable(text))


def _soft(text: str) -> bytes:
    return (text if not text or text.endswith("\n") else f"{text}=\r\n").encode("ascii")


_is_plain_value = re.compile(r"(?!\.|From )[!-<>-~](?:[ -<>-~]*[!-<>-~])?").fullmatch
_AS_IS = {*range(33, 127), *b" \t"} - {ord("=")}
_QUOTED = {octet: f"={octet:02X}" for octet in range(256) if octet not in _AS_IS}


def quoted_printable(text: str) -> str:
    """The text in quoted-printable, in lines of at most 76 characters; a line break in it is a hard one."""
    if _is_plain_value(text):
        if len(text) < _ENCODED_LINE:
            return text
        rows = [text[at : at + _ENCODED_LINE - 1] for at in range(0, len(text), _ENCODED_LINE - 1)]
        if not any(row.startswith((".", "From ")) for row in rows):
            return "=\r\n".join(rows)
    return "\r\n".join(map(_quoted_line, text.split("\n")))


def _quoted_line(line: str) -> str:
    # Latin-1 has one character for each octet, so that the C code of `translate` does the octets' work.
    rest = line.encode().decode("latin-1").translate(_QUOTED)
    if rest.endswith((" ", "\t")):
        rest = f"{rest[:-1]}={ord(rest[-1]):02X}"
    rows: list[str] = []
    while True:
        # SMTP would double a leading dot, and some mailboxes put ">" before "From "; both break signatures.
        if rest.startswith((".", "From ")):
            rest = f"={ord(rest[0]):02X}{rest[1:]}"
        if len(rest) < _ENCODED_LINE:
            return "=\r\n".join((*rows, rest))
        end = rest.rfind("=", _ENCODED_LINE - 3, _ENCODED_LINE - 1)  # an octet that the break would cut in two
        end = end if end > 0 else _ENCODED_LINE - 1
        rows.append(rest[:end])
        rest = rest[end:]


class _Based:
    """A text in base64, laid out before its holes are filled.

    Base64 writes three octets as four characters, so what follows a hole depends on the length of its value, but only
    modulo three: every segment is kept encoded from its first, second and third octet, and what is left over at the
    joints is encoded with the value. Lines may be shorter than 76 characters, and are there.
    """

    def __init__(self, segments: list[str], escape: Callable[[str], str]) -> None:
        self._first, *self._fixed = [_Shifted(text) for text in segments[::2]]
        self.holes = segments[1::2]
        self._escape = escape

    def __len__(self) -> int:
        return sum(len(fixed.at[0][1]) for fixed in (self._first, *self._fixed))

    def fill(self, values: Mapping[str, str]) -> list[bytes]:
        _, encoded, carry = self._first.at[0]
        written = [encoded]
        for hole, fixed in zip(self.holes, self._fixed, strict=True):
            joint = carry + self._escape(values[hole]).encode()
            head, encoded, carry = fixed.at[-len(joint) % 3]
            joint += head
            whole = len(joint) // 3 * 3
            written += _base64(joint[:whole]), encoded
            carry = joint[whole:] + carry
        written.append(_base64(carry))
        return written


class _Shifted:
    """A text encoded from each of its first octets: `at[n]` is what is before, the lines, and what is left over."""

    def __init__(self, text: str) -> None:
        octets = text.replace("\n", "\r\n").encode()
        self.at = [self._from(octets, skip) for skip in range(3)]

    @staticmethod
    def _from(octets: bytes, skip: int) -> tuple[bytes, bytes, bytes]:
        head, body = octets[:skip], octets[skip:]
        whole = len(body) // 3 * 3
        return head, _base64(body[:whole]), body[whole:]


def _base64(octets: bytes) -> bytes:
    encoded = b2a_base64(octets, newline=False)
    if len(encoded) <= _ENCODED_LINE:
        return encoded and encoded + b"\r\n"
    return b"".join([encoded[at : at + _ENCODED_LINE] + b"\r\n" for at in range(0, len(encoded), _ENCODED_LINE)])
