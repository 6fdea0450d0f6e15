"""The standard library's `email` is slow and strict about other things: here it is the oracle for every message."""

import email
import email.policy
import quopri
import re
from base64 import b64decode
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from html import escape
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.mime import Multipart, Part, Skeleton, mailbox_header, quoted_printable, text_header, token_header
from notifier.talks import clean_line

NAME, LINK = "\ufdd0", "\ufdd1"
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(0xFDD0, 0xFDF0)])
TEXTS = st.text(CHARACTERS | st.sampled_from(" .=F\t\n中é😀"), max_size=300)
VALUES = st.text(st.sampled_from(" .=Fab中é😀&<\"'"), max_size=120)


def parsed(octets: bytes) -> EmailMessage:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def decoded(header: str) -> str:
    value = email.message_from_string(header + "\r\n", policy=email.policy.compat32)[header.partition(":")[0]]
    return str(make_header(decode_header(re.sub(r"\r?\n", "", value))))


def assert_header_is_sound(header: str) -> None:
    assert header.isascii()
    assert header.endswith("\r\n")
    lines = header.removesuffix("\r\n").split("\r\n")
    assert all(line.startswith(" ") and line.strip() for line in lines[1:])
    assert all(len(word) <= 75 for word in re.findall(r"=\?.*?\?=", header))
    assert all(len(line) <= 76 for line in lines if "=?" in line)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_a_text_header_reads_back_as_the_text_on_one_line(text: str) -> None:
    header = text_header("Subject", text)
    assert_header_is_sound(header)
    assert max(map(len, header.split("\r\n"))) <= 78
    assert decoded(header).strip() == clean_line(text)


def joined_before_decoding(header: str) -> str:
    """The text as GMime reads it: payloads of neighbours in base64 are joined, and what follows a padding is lost."""
    read = b""
    for encoding, words in groupby(re.findall(r"=\?utf-8\?(.)\?(.*?)\?=", header), key=itemgetter(0)):
        payload = "".join(word for _, word in words)
        if encoding == "b":
            whole, padding, _ = payload.partition("=")
            read += b64decode(whole + padding * (-len(whole) % 4))
        else:
            read += quopri.decodestring(payload, header=True)
    return read.decode("utf-8", "replace")


@settings(deadline=None)
@given(st.text("a1 é王伟😀", min_size=1, max_size=120).map(lambda text: clean_line(f"研{text}")))
@example("机器学习联合研讨会与应用数学前沿系列讲座：线上与线下同时举行")
@example("A" + "机器学习" * 20)
@example("订阅成功 · 机器学习联合研讨会")
def test_a_header_reads_right_where_its_words_are_joined_before_they_are_decoded(text: str) -> None:
    header = text_header("Subject", text)
    assert_header_is_sound(header)
    assert joined_before_decoding(header) == decoded(header).strip() == text


def test_a_text_header_of_short_ascii_stays_legible() -> None:
    assert text_header("Subject", "Sat 27 Nov, 9:30 (UTC+8)") == "Subject: Sat 27 Nov, 9:30 (UTC+8)\r\n"


def test_a_text_that_looks_encoded_is_not_decoded_by_its_reader() -> None:
    assert decoded(text_header("Subject", "=?utf-8?q?hello?=")) == "=?utf-8?q?hello?="


@settings(deadline=None)
@given(st.text(max_size=120))
def test_a_mailbox_reads_back_as_its_name_and_address(name: str) -> None:
    header = mailbox_header("To", name, "ada@example.org")
    assert_header_is_sound(header)
    assert max(map(len, header.split("\r\n"))) <= 78
    phrase, address = parseaddr(email.message_from_string(header + "\r\n")["To"].replace("\n", "").replace("\r", ""))
    assert address == "ada@example.org"
    assert str(make_header(decode_header(phrase))) == clean_line(name)


@pytest.mark.parametrize(
    "name",
    [
        "Ada\r\nBcc: eve@example.org",
        "Ada\nBcc: eve@example.org",
        'Ada" <eve@example.org>, "',
        "Ada, Countess of Lovelace",
        "王伟 😀",
        "\\",
        "a" * 300,
        "Ada " * 30,
        "Ada\u2028Bcc: eve@example.org",
    ],
)
def test_no_name_adds_a_header_or_another_recipient(name: str) -> None:
    message = parsed((mailbox_header("To", name, "ada@example.org") + "\r\n").encode())
    assert message.keys() == ["To"]
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.org"]
    assert_header_is_sound(mailbox_header("To", name, "ada@example.org"))
    assert max(map(len, mailbox_header("To", name, "ada@example.org").split("\r\n"))) <= 78


def test_tokens_are_folded_only_between_them() -> None:
    link = "https://example.org/unsubscribe/" + "x" * 90
    header = token_header("List-Unsubscribe", f"<{link}>", "<mailto:bob@example.org?subject=unsubscribe>")
    assert header == f"List-Unsubscribe: <{link}>,\r\n <mailto:bob@example.org?subject=unsubscribe>\r\n"


def skeleton_of(text: str) -> Skeleton:
    alternative = Multipart(
        "alternative",
        (Part("text/plain; charset=utf-8", text), Part("text/html; charset=utf-8", text, escape=escape)),
    )
    attached = Part("text/calendar; charset=utf-8", "BEGIN:VCALENDAR\nEND:VCALENDAR\n", "attachment")
    return Skeleton("From: ada@example.org\r\n", Multipart("mixed", (alternative, attached)))


def filled(text: str, values: dict[str, str], write: type[str] | object = str) -> str:
    for hole, value in values.items():
        text = text.replace(hole, write(value))  # type: ignore[operator]
    return text


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5), VALUES, VALUES)
def test_a_filled_skeleton_reads_back_as_its_texts(segments: list[str], name: str, link: str) -> None:
    text = "".join(s + (NAME, LINK)[n % 2] for n, s in enumerate(segments)).replace("\r", "") + "end"
    values = {NAME: name, LINK: link}
    octets = skeleton_of(text).fill("To: bob@example.org\r\n", values)
    message = parsed(octets)
    assert not [defect for part in message.walk() for defect in part.defects]
    plain, html, calendar = (part for part in message.walk() if not part.is_multipart())
    assert text_of(plain) == filled(text, values)
    assert text_of(html) == filled(text, values, escape)
    assert text_of(calendar) == "BEGIN:VCALENDAR\nEND:VCALENDAR\n"


def text_of(part: EmailMessage) -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode().replace("\r\n", "\n")


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5), VALUES)
def test_a_filled_skeleton_is_safe_on_the_wire(segments: list[str], value: str) -> None:
    octets = skeleton_of(NAME.join(segments) + "From x\n.\n..\nFrom y").fill("", {NAME: value})
    octets.decode("ascii")
    lines = octets.removesuffix(b"\r\n").split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert not [line for line in lines if line.startswith((b".", b"From "))]
    body = lines[lines.index(b"") :]
    assert not [line for line in body if len(line) > 76 or line.endswith((b" ", b"\t"))]


@pytest.mark.parametrize(("text", "encoding"), [("plain words " * 20, "quoted-printable"), ("讲座" * 50, "base64")])
def test_a_part_takes_the_shorter_encoding(text: str, encoding: str) -> None:
    message = parsed(Skeleton("", Part("text/plain; charset=utf-8", text)).fill("", {}))
    assert message["Content-Transfer-Encoding"] == encoding
    assert message.get_content() == text


def test_the_same_content_gives_the_same_bytes() -> None:
    assert skeleton_of("a" + NAME).fill("", {NAME: "Ada"}) == skeleton_of("a" + NAME).fill("", {NAME: "Ada"})


def test_nested_parts_have_boundaries_of_their_own() -> None:
    message = parsed(skeleton_of("text").fill("", {}))
    boundaries = [part.get_boundary() for part in message.walk() if part.is_multipart()]
    assert len(set(boundaries)) == len(boundaries) == 2


def test_a_soft_break_cuts_no_octet_in_two() -> None:
    for start in range(6):
        written = quoted_printable("x" * (70 + start) + "é" * 20)
        assert not re.search("=[0-9A-F]?=\r\n", written)


def test_a_line_that_ends_in_space_ends_in_what_no_relay_strips() -> None:
    assert quoted_printable("a \nb\t\n \nc d") == "a=20\r\nb=09\r\n=20\r\nc d"


@pytest.mark.parametrize(
    "smuggled",
    [
        "To: a@example.org\r\n\r\nhello\r\n",
        "To: a@example.org\n",
        "To: a\r",
        ".\r\n",
        "To: 王\r\n",
        "To a\r\n",
        "no end: ",
    ],
)
def test_nothing_in_a_header_can_end_the_headers_or_the_message(smuggled: str) -> None:
    with pytest.raises(ValueError, match="expected header lines"):
        Skeleton("Subject: hello\r\n", Part("text/plain", "hello")).fill(smuggled, {})
    with pytest.raises(ValueError, match="expected header lines"):
        Skeleton(smuggled, Part("text/plain", "hello"))


def test_a_skeleton_knows_its_holes() -> None:
    body = Multipart(
        "alternative", (Part("text/plain", f"Dear {NAME}"), Part("text/html", f"<a href={LINK}>{NAME}</a>"))
    )
    assert Skeleton("", body).holes == {NAME, LINK}


@pytest.mark.parametrize("at", [74, 75, 76, 150])
@pytest.mark.parametrize("start", [".", "From "])
def test_a_long_link_is_folded_so_that_no_line_of_it_is_changed_on_the_way(start: str, at: int) -> None:
    text = "x" * at + start + "y" * 90
    lines = quoted_printable(text).split("\r\n")
    assert quopri.decodestring("\n".join(lines)).decode() == text
    assert all(len(line) <= 76 and not line.startswith((".", "From ")) for line in lines)
