"""The bytes of a mail that came back → what it means and which mail it is about.

Servers say it by RFC 3464, readers' providers by RFC 5965, and most others in a text of their own, which flufl.bounce
and a few patterns for Chinese providers read. Nothing here is proof: whoever can write to the mailbox can write
anything. A `Reading` only names marks, and the ledger believes those that we made ourselves (`notifier.marks`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from enum import StrEnum
from html import unescape

from notifier import marks
from notifier.replies import DEAD, Answer, Stage, classify, enhanced_code, legible
from notifier.subscribers import comparable

LARGEST = 128 * 1024  # what is looked at of one mail; a server's own words come first
_MOST_PARTS = 50
_MOST_MARKS = 20
_LONGEST_LINE = 2000


class Meaning(StrEnum):
    """What a mail in the mailbox of returned mail is."""

    DELAYED = "delayed"  # the server goes on trying
    SOFT = "soft"  # it was not delivered, and the next may be
    HARD = "hard"  # there is no such mailbox
    COMPLAINT = "complaint"  # the reader called it spam
    UNSUBSCRIBE = "unsubscribe"  # the reader wants no more; the token proves who
    AUTOMATIC = "automatic"  # somebody is on holiday, or a server says that all is well
    OTHER = "other"  # a person's mail, or something that nobody here understands


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail says.

    `marks` are words that may be the mark of a delivery, or for UNSUBSCRIBE a token, the likeliest first. `said` is
    one printable line. `recipients` are the failed addresses as far as the mail names them, made comparable.
    """

    meaning: Meaning
    marks: tuple[str, ...] = ()
    said: str = ""
    recipients: frozenset[str] = frozenset()

    def about(self, address: str) -> Meaning:
        """What it means for the subscriber at this address.

        Where another address is dead, one to which theirs forwards, they may still have a mailbox themselves.
        """
        is_another = bool(self.recipients) and comparable(address) not in self.recipients
        return Meaning.SOFT if self.meaning is Meaning.HARD and is_another else self.meaning


def read(data: bytes) -> Reading:
    """What the mail in these bytes means; never raises, however it is malformed."""
    data = data[:LARGEST]
    if data.lower().count(b"boundary") > _MOST_PARTS:
        return Reading(Meaning.OTHER, said="too many parts")  # the parser's time grows with their product
    try:
        return _read(_Mail(BytesParser(policy=compat32).parsebytes(data)))
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The standard parser has raised each of these at some malformed mail.
        return Reading(Meaning.OTHER, said=f"unreadable: {legible(str(error))}")


class _Mail:
    """A parsed mail, with the few things that are asked of it."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.parts = [part for part, _ in zip(message.walk(), range(_MOST_PARTS), strict=False)]
        self.subject = " ".join(_headers(message, "Subject"))

    def of_type(self, *types: str) -> list[Message]:
        return [part for part in self.parts if part.get_content_type() in types]

    @property
    def is_from_a_daemon(self) -> bool:
        if _DAEMON.search(" ".join(_headers(self.message, "From"))):
            return True
        # A person may answer a bounce, subject and all; but only servers send from nowhere.
        paths = [path.strip() for path in _headers(self.message, "Return-Path")]
        is_from_nowhere = any(path == "<>" or _DAEMON.search(path) for path in paths)
        return is_from_nowhere and bool(_BOUNCE_SUBJECT.search(self.subject))

    def text(self) -> str:
        """What the server or person itself wrote, without the mail that it encloses."""
        own = []
        enclosed: set[int] = set()
        for part in self.parts:
            if part.get_content_type() in _ENCLOSING and part is not self.message:
                enclosed.update(id(inner) for inner in part.walk())
            if id(part) not in enclosed and part.get_content_maintype() == "text":
                own.append(_text(part))
        return "\n".join(own)

    def marks(self, text: str = "") -> tuple[str, ...]:
        """Candidates: from where it was sent to, the envelope's id, the returned Message-ID, and then the text."""
        places = [*_headers(self.message, "To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")]
        places += (envelope for block in self.status_blocks() for envelope in _headers(block, "Original-Envelope-Id"))
        places += (ident for part in self.parts[1:] for ident in _headers(part, "Message-ID"))
        places += (_text(part) for part in self.of_type("text/rfc822-headers"))
        places += (*_headers(self.message, "In-Reply-To", "References", "X-Failed-Message-Id"), text)
        found = (word for place in places for word in marks.candidates(place))
        return tuple(dict.fromkeys(found))[:_MOST_MARKS]

    def status_blocks(self) -> list[Message]:
        """The report's blocks of fields (RFC 3464 section 2.1): one about the mail, and one for each recipient."""
        reports = self.of_type("message/delivery-status", "message/global-delivery-status")
        return [block for report in reports for block in _blocks(report)]


_ENCLOSING = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")
_DAEMON = re.compile(
    r"mailer-daemon|postmaster|mail[ ._-]?deliver|\bm(ail)?[ ._-]?daemon|microsoftexchange", re.IGNORECASE
)
_BOUNCE_SUBJECT = re.compile(
    r"undeliver|delivery (status|failure|has failed|incomplete|delayed)|returned mail|failure notice|mail failure"
    r"|(could not|not be|cannot be) delivered|退信|退回|投递失败|无法投递|systems? bounce",
    re.IGNORECASE,
)
_AUTOMATIC_SUBJECT = re.compile(
    r"^\W*(auto(matic)?[ -]?(reply|response)|out of (the )?office|vacation|自动回复|自動回覆|自动答复|假期回复)",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"unsubscribe[\s:]+([A-Za-z0-9_=.-]{20,200})", re.IGNORECASE)


def _read(mail: _Mail) -> Reading:
    if mail.of_type("message/feedback-report"):
        return _complaint(mail)
    if mail.status_blocks():
        return _report(mail)
    if token := _TOKEN.search(mail.subject):
        return Reading(Meaning.UNSUBSCRIBE, (token[1],))
    if _AUTOMATIC_SUBJECT.search(mail.subject):
        return Reading(Meaning.AUTOMATIC, mail.marks())
    if mail.is_from_a_daemon:
        return _told(mail)
    return Reading(Meaning.AUTOMATIC, mail.marks()) if _is_marked_automatic(mail) else Reading(Meaning.OTHER)


# --- reports by the standards ----------------------------------------------------------------------------------------


def _complaint(mail: _Mail) -> Reading:
    """RFC 5965. What the provider calls no complaint is none."""
    (report, *_) = mail.of_type("message/feedback-report")
    fields = next(iter(_blocks(report)), Message())
    kind = "".join(_headers(fields, "Feedback-Type")[:1]).strip().lower()
    agent = legible("".join(_headers(fields, "User-Agent")[:1]))
    meaning = Meaning.AUTOMATIC if kind in {"not-spam", "auth-failure", "dmarc"} else Meaning.COMPLAINT
    return Reading(meaning, mail.marks(), f"{kind or 'abuse'} reported by {agent or 'their provider'}"[:200])


def _report(mail: _Mail) -> Reading:
    """RFC 3464: the worst that it says of any recipient; where it says nothing that can be read, what its text says."""
    worst = Reading(Meaning.OTHER)
    found = mail.marks(mail.text())
    for block in mail.status_blocks():
        reading = _of_recipient(block)
        worst = max(worst, reading, key=lambda reading: _GRAVITY[reading.meaning])
    if worst.meaning is Meaning.OTHER:
        return _told(mail)
    return replace(worst, marks=found)


_GRAVITY = {Meaning.OTHER: 0, Meaning.AUTOMATIC: 1, Meaning.DELAYED: 2, Meaning.SOFT: 3, Meaning.HARD: 4}
_ENDS = {"2": Meaning.AUTOMATIC, "4": Meaning.DELAYED, "5": None}  # None: as grave as code and words say
_ACTIONS = {"delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}


def _of_recipient(block: Message) -> Reading:
    """What a block says; OTHER where it says neither what was done nor how it ended."""
    action = "".join(_headers(block, "Action")[:1]).split("(")[0].strip().lower()
    status = "".join(_headers(block, "Status")[:1])
    kind = "5" if action == "failed" else _ACTIONS.get(action, status.strip()[:1])
    if kind not in _ENDS:
        return Reading(Meaning.OTHER)
    diagnostic = "".join(_headers(block, "Diagnostic-Code")[:1])
    said = legible(re.sub(r"^\s*[\w-]+\s*;\s*", "", diagnostic))
    named = _headers(block, "Original-Recipient", "Final-Recipient")
    recipients = frozenset(comparable(name.rpartition(";")[2].strip().strip("<>")) for name in named if "@" in name)
    code = enhanced_code(status)
    if code.endswith((".0.0", ".5.0")):  # what servers write that know no better
        code = enhanced_code(said) or code
    told = (said if code in said else f"{code} {said}".strip())[:200]
    return Reading(_ENDS[kind] or _meaning(code, said), (), told, recipients)


def _meaning(code: str, said: str) -> Meaning:
    """HARD only where mailbox or domain are said not to exist; providers say throttling with the same codes."""
    smtp_code = int(found[0]) if (found := re.search(r"(?<![\d.])[45]\d\d(?![\d.])", said)) else 550
    if classify(Stage.RCPT, smtp_code, said).answer in {Answer.DEFERRED, Answer.RELAY}:
        return Meaning.SOFT
    is_unsaid = not code or code.endswith((".0.0", ".5.0"))
    return Meaning.HARD if code in DEAD or (is_unsaid and _DEAD_WORDS.search(said)) else Meaning.SOFT


# --- reports in words ------------------------------------------------------------------------------------------------

# What servers without enhanced codes say of a mailbox that does not exist: Postfix, Exim, qmail, Coremail (163, 126 and
# most universities in China), Tencent.
_DEAD_WORDS = re.compile(
    r"user (name )?(is )?(unknown|not found|not exist|doesn't exist)|unknown (user|local part|recipient|address)"
    r"|no such (user|mailbox|recipient|address|person)|(user|recipient|mailbox|account|address) does(n't| not) exist"
    r"|(mailbox|recipient|address|user) (was )?not found|invalid (recipient|mailbox)|no mailbox here by that name"
    r"|user does(n't| not) have an? \S{1,60} account"
    r"|(用户|收件人|邮箱|帐号|账号|地址)[^。，,;；\n]{0,80}?(不存在|未开通)|不存在该(用户|收件人)|查无此(用户|人)|域名不存在",
    re.IGNORECASE,
)
_DELAY_WORDS = re.compile(
    r"\bdelayed\b|will be retried|still trying|no action is required|warning message only|not yet been delivered"
    r"|(?<!不)(将|会)(继续|再次)(尝试|重试|投递)",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")


def _told(mail: _Mail) -> Reading:
    """A server's own text. What it says of the mail ends where the mail that it returns begins."""
    text = mail.text()
    words = _RETURNED_BEGINS.split(text, maxsplit=1)[0]
    temporary, permanent = _detected(mail.message)
    recipients = permanent or temporary or {comparable(found[0]) for found in _ADDRESS.finditer(words)}
    code = enhanced_code(words)
    said = _telling_line(words, code)
    is_delay = bool(temporary and not permanent) or bool(_DELAY_WORDS.search(f"{mail.subject}\n{words}"))
    meaning = Meaning.DELAYED if is_delay else _meaning(code, words[:_LONGEST_LINE])
    return Reading(meaning, mail.marks(text), said, frozenset(recipients))


_RETURNED_BEGINS = re.compile(
    r"^[ >-]*(?:below this line is a copy|this is a copy of|original message|the header of|原始?邮件(?:内容|头))",
    re.IGNORECASE | re.MULTILINE,
)


def _telling_line(words: str, code: str) -> str:
    """The line in which a server gave its reason, as far as one can be told."""
    lines = [line for line in map(legible, words[: LARGEST // 4].splitlines()) if line]
    telling = (line for line in lines if (code and code in line) or re.search(r"(?<![\d.])[45]\d\d[ -]", line))
    return (next(telling, "") or next(filter(_DEAD_WORDS.search, lines), "") or " ".join(lines[:2]))[:200]


def _detected(message: Message) -> tuple[set[str], set[str]]:
    """The addresses for which delivery failed for now and for good, in any of the forms that flufl.bounce knows."""
    from flufl.bounce import all_failures  # 30 ms, and only the few commands that read mail need it

    try:
        temporary, permanent = all_failures(message)
    except Exception:  # what its patterns do to a mail that nobody foresaw is no reason to read no other
        return set(), set()
    return _legible_addresses(temporary), _legible_addresses(permanent)


def _legible_addresses(addresses: Iterable[bytes | str]) -> set[str]:
    decoded = (a.decode("utf-8", "replace") if isinstance(a, bytes) else a for a in addresses)
    return {comparable(address) for address in decoded if "@" in address}


# --- answers that no person wrote ------------------------------------------------------------------------------------


def _is_marked_automatic(mail: _Mail) -> bool:
    """RFC 3834, and what was used before it."""
    submitted = " ".join(_headers(mail.message, "Auto-Submitted")).lower()
    precedence = " ".join(_headers(mail.message, "Precedence")).lower()
    older = _headers(mail.message, "X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply")
    return "auto-replied" in submitted or "auto_reply" in precedence or bool(older)


# --- mail made legible -----------------------------------------------------------------------------------------------


def _headers(message: Message, *names: str) -> list[str]:
    """The values of these headers, decoded; raw octets are read as Chinese servers write them (GB 18030)."""
    wanted = [name.lower() for name in names]
    raw = [(name.lower(), value) for name, value in message.raw_items()]
    return [_decoded(str(value)) for wish in wanted for name, value in raw if name == wish]


def _decoded(value: str) -> str:
    value = value[:_LONGEST_LINE]
    if "=?" not in value:
        return legible(value)
    try:
        words = decode_header(value)
    except ValueError:
        return legible(value)
    return "".join(w if isinstance(w, str) else _text_of(w, charset) for w, charset in words)


def _text(part: Message) -> str:
    octets = part.get_payload(decode=True)
    if not isinstance(octets, bytes):
        return ""
    text = _text_of(octets, part.get_content_charset())
    if part.get_content_subtype() != "html":
        return text
    # No "<" inside: a page of nothing but "<" would be searched to its end from each of them.
    return unescape(re.sub(r"<[^<>]*>", " ", re.sub(r"<(br|/p|/div|/tr)[^<>]*>", "\n", text)))


def _text_of(octets: bytes, charset: str | None) -> str:
    for encoding in (charset, "utf-8", "gb18030"):
        try:
            return octets.decode(encoding or "utf-8")
        except (LookupError, ValueError):
            continue
    return octets.decode("utf-8", "replace")


def _blocks(report: Message) -> Iterator[Message]:
    """The blocks of fields of a report; the standard parser knows only some of them, and leaves the others as text."""
    payload = report.get_payload()
    if isinstance(payload, list):
        for block in payload:
            if isinstance(block, Message):
                yield block
        return
    octets = report.get_payload(decode=True)
    if isinstance(octets, bytes):
        for block in re.split(rb"\r?\n\r?\n", octets.strip())[:_MOST_PARTS]:
            yield BytesParser(policy=compat32).parsebytes(block, headersonly=True)
