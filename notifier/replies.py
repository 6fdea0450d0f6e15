"""A mail server's octets → replies; a reply at a stage of the dialogue → what it means and how long the relay rests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple


class Answer(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # nothing was taken; try again later
    REFUSED = "refused"  # nothing was taken, and the same message to the same address never will be
    AMBIGUOUS = "ambiguous"  # the body left and no reply came: it may have arrived
    RELAY = "relay"  # the mail server or our settings are at fault, whoever the recipient is
    UNTRIED = "untried"  # nothing of it was on the wire but perhaps its envelope, on a link that broke under another


class Fault(StrEnum):
    """What a reply that is no success speaks of."""

    RECIPIENT = "recipient"
    CONTENT = "content"  # what is in the mail: everyone's copy of it will meet the same
    LINK = "link"  # the connection, or a server that is closing or cannot
    RATE = "rate"  # we were too fast
    CROWD = "crowd"  # we hold too many connections
    POLICY = "policy"  # we or the recipient: the reply does not say which
    SETTINGS = "settings"  # greeting, certificate, login, sender: a person has to mend them


class Stage(StrEnum):
    """The step of the SMTP dialogue that a reply belongs to."""

    CONNECT = "connect"
    HELLO = "hello"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the word DATA, before any of the body
    BODY = "body"  # the final dot


# There is no such mailbox or domain, for good (RFC 3463 section 3.2).
DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.10"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the mail server answered.

    `reply` is one printable line of at most 500 characters without any secret. `pause` is how long the whole relay
    should rest when it says so again, None for not at all. `stage` is None where no server was asked, `fault` where
    there is none.
    """

    answer: Answer
    code: int | None = None
    reply: str = ""
    pause: timedelta | None = None
    stage: Stage | None = None
    fault: Fault | None = field(default=None, compare=False)  # it follows from the rest

    @property
    def is_dead_address(self) -> bool:
        """The mailbox or its domain is said not to exist, for good (RFC 3463 section 3.2)."""
        return self.answer is Answer.REFUSED and enhanced_code(self.reply, "5") in DEAD

    @property
    def ends_link(self) -> bool:
        """The next message needs a new link: the server is about to close this one, or may count by connection."""
        is_of_message = self.stage is not Stage.MAIL and self.fault in (Fault.RECIPIENT, Fault.CONTENT)
        return self.answer is not Answer.ACCEPTED and not is_of_message


_SHOWN = 500  # characters of a reply; what it means may stand behind them
_SOON = timedelta(seconds=15)
_MINUTE = timedelta(minutes=1)
_NETEASE_SPAM = timedelta(minutes=2)  # what the provider itself asks for
UNTIL_MENDED = timedelta(minutes=15)  # settings that a person must mend
_QUARTER = timedelta(minutes=15)  # frequency windows
_HOUR = timedelta(hours=1)  # daily quotas are rolling: some of it comes back before the day is over


class _Rule(NamedTuple):
    """Every field that is not empty must match: the two codes (the second of RFC 3463) whole, the words anywhere."""

    stages: frozenset[Stage]
    code: str
    enhanced: str
    words: str
    answer: Answer
    fault: Fault | None = None
    pause: timedelta | None = None

    def fits(self, stage: Stage, code: str, enhanced: str, reply: str) -> bool:
        return (
            stage in self.stages
            and bool(re.fullmatch(self.code, code))
            and (not self.enhanced or bool(re.fullmatch(self.enhanced, enhanced)))
            and (not self.words or bool(re.search(self.words, reply, re.IGNORECASE)))
        )


_ANY = frozenset(Stage)
_LINKING = frozenset({Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH})
_AUTH = frozenset({Stage.AUTH})
_MAIL = frozenset({Stage.MAIL})
_RCPT = frozenset({Stage.RCPT})
_DATA = frozenset({Stage.DATA})
_BODY = frozenset({Stage.BODY})
_ADDRESSED = _RCPT | _DATA | _BODY
_NONE = "-"  # the code of a reply that never came or was no reply

# Words that speak of us, so that every recipient would meet them.
_OF_US = (
    r"sender (address |is )?rejected|fake sender|suspected spam sender|client host rejected|helo command rejected"
    r"|not logged in|authenticat\w+ (is )?required|must be authenticated|same as authori[sz]ation"
    r"|DMARC|SPF (check )?fail|DT:SUM"
)
_OF_RELAYING = (
    r"relay(ing)?( access| is)* (denied|prohibited|not (allowed|permitted))|(unable to|denies) relay|rcpthosts"
)
_FULL = r"mailbox( is)? full|over ?quota|quota( is)? exceeded"
_BY_DAY = r"(daily|sending)\b.{0,40}\b(quota|limit)|MI:STC|RP:TRC"
_BY_WINDOW = r"frequency (is )?limit|频率|HL:I[FT]C|MI:SFQ|RP:QRC"
_BY_LINKS = r"HL:ICC|too many( concurrent)? (connections|sessions)"
_TOO_FAST = r"rate.?limit|throttl|too many (messages|e?mails|recipients|requests)|too fast|slow down"
_PASSING = r"try (it |again|later|once more)|temporar|come back|not now|server (is )?busy|稍后|暂时"
_NETEASE = r"\b(CO|DP|HL|IB|IP|MI|MX|SP|WM):[A-Z]{3}\b"

# A body is taken by 250 and its kin alone: to "221" or "235" nobody knows what was heard.
_GOOD = dict.fromkeys(Stage, range(200, 300)) | {Stage.DATA: range(354, 355), Stage.BODY: range(250, 260)}

# The first rule that fits decides. Providers in the wild use 5yz for what passes, so their words come first.
_RULES = (
    # No reply: nothing was taken, unless the body had left. A server that hangs up in the middle of a login means no.
    _Rule(_BODY, _NONE, "", "", Answer.AMBIGUOUS, Fault.LINK),
    _Rule(_AUTH, _NONE, "", "", Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    _Rule(_ANY, _NONE, "", "", Answer.DEFERRED, Fault.LINK),
    # Limits: Gmail and Outlook by the day; Tencent ("550 Sender frequency limited") and NetEase (HL, MI, RP) by window.
    _Rule(_ANY, "5..", r"5\.4\.5", "", Answer.DEFERRED, Fault.RATE, _HOUR),
    _Rule(_ANY, "[45]..", "", _BY_DAY, Answer.DEFERRED, Fault.RATE, _HOUR),
    _Rule(_ANY, "[45]..", "", _BY_WINDOW, Answer.DEFERRED, Fault.RATE, _QUARTER),
    _Rule(_ANY, "[45]..", "", _BY_LINKS, Answer.DEFERRED, Fault.CROWD, _MINUTE),
    # This link has carried enough; a new one goes on.
    _Rule(_ANY, "[45]..", "", r"MI:DMC|RP:DRC", Answer.DEFERRED, Fault.POLICY),
    _Rule(_ANY, "[45]..", "", _TOO_FAST, Answer.DEFERRED, Fault.RATE, _QUARTER),
    _Rule(_BODY, "[45]..", "", "DT:SPM", Answer.DEFERRED, Fault.CONTENT, _NETEASE_SPAM),
    # Not now. Before MAIL nobody is addressed, so `classify` lays it on the relay.
    _Rule(_AUTH, "4..", "", "", Answer.RELAY, Fault.LINK, _MINUTE),
    _Rule(_ANY, "421", "", "", Answer.DEFERRED, Fault.LINK, _SOON),
    _Rule(_MAIL, "4..", "", "", Answer.DEFERRED, Fault.POLICY),
    _Rule(_BODY, "4..", "", "", Answer.DEFERRED, Fault.POLICY),
    _Rule(_ANY, "4..", "", "", Answer.DEFERRED, Fault.RECIPIENT),
    # Greeting, TLS, login and sender are ours: a person has to look.
    _Rule(_LINKING, "5..", "", "", Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    # Larger than SIZE, or than what room there is today; the next host of that name may take it.
    _Rule(_MAIL, "5..", r"5\.3\.4", "", Answer.DEFERRED, Fault.CONTENT),
    _Rule(_MAIL, "552", "", "", Answer.DEFERRED, Fault.CONTENT),
    _Rule(_MAIL, "5..", "", "", Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    _Rule(_RCPT | _DATA, "53.", "", "", Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    _Rule(_ADDRESSED, "5..", r"5\.1\.[78]", "", Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    _Rule(_ADDRESSED, "5..", "", _OF_US, Answer.RELAY, Fault.SETTINGS, UNTIL_MENDED),
    # Policy and syntax may differ by recipient: if they put the message back, one address could hold up all others.
    _Rule(_ADDRESSED, "5..", r"5\.7\..*", "", Answer.DEFERRED, Fault.POLICY, _SOON),
    _Rule(_RCPT | _DATA, "50[0234]", "", "", Answer.DEFERRED, Fault.POLICY, _SOON),
    _Rule(_ADDRESSED, "5..", "", _OF_RELAYING, Answer.DEFERRED, Fault.POLICY, _SOON),
    _Rule(_RCPT | _DATA, "5..", "", _NETEASE, Answer.DEFERRED, Fault.POLICY),
    # Full mailboxes are emptied; RFC 5321 section 4.5.3.1.10 reads 552 at RCPT as 452.
    _Rule(_RCPT, "552", "", "", Answer.DEFERRED, Fault.RECIPIENT),
    _Rule(_ADDRESSED, "5..", r"5\.2\.2", "", Answer.DEFERRED, Fault.RECIPIENT),
    _Rule(_ADDRESSED, "5..", "", _FULL, Answer.DEFERRED, Fault.RECIPIENT),
    # Tencent's words for an address that had much mail lately.
    _Rule(_ADDRESSED, "550", "", "mailbox unavailable or access denied", Answer.DEFERRED, Fault.RECIPIENT),
    _Rule(_RCPT | _BODY, "5..", r"5\.1\.([123]|10)", "", Answer.REFUSED, Fault.RECIPIENT),
    _Rule(_ADDRESSED, "5..", "", _PASSING, Answer.DEFERRED, Fault.POLICY),
    # What is refused after it was read is refused for what it says: that makes no address dead.
    _Rule(_DATA | _BODY, "5..", "", "", Answer.DEFERRED, Fault.CONTENT),
    _Rule(_RCPT, "5..", "", "", Answer.REFUSED, Fault.RECIPIENT),
    # A reply that makes no sense here.
    _Rule(_BODY, "...", "", "", Answer.AMBIGUOUS, Fault.LINK),
    _Rule(_ANY, "...", "", "", Answer.DEFERRED, Fault.LINK),
)


def classify(stage: Stage, code: int | None, reply: str) -> Outcome:
    """What this reply at this stage means; `code` is None where no reply came.

    ACCEPTED at a stage before BODY means that the dialogue may go on.
    """
    words = _printable(reply)
    said = words[:_SHOWN]
    if code in _GOOD[stage]:
        return Outcome(Answer.ACCEPTED, code, said, None, stage)  # before the rules, for it is what nearly all are
    if code is not None and not 200 <= code <= 599:
        code = None
    enhanced = enhanced_code(words, str(code // 100)) if code else ""
    rule = next(r for r in _RULES if r.fits(stage, str(code or _NONE), enhanced, words))
    if stage in _LINKING:
        fault = rule.fault if rule.fault in (Fault.RATE, Fault.CROWD, Fault.SETTINGS) else Fault.LINK
        return Outcome(Answer.RELAY, code, said, rule.pause or _SOON, stage, fault)
    return Outcome(rule.answer, code, said, rule.pause, stage, rule.fault)


def legible(reply: str) -> str:
    """The server's words in one printable line of at most 500 characters.

    Octets that were not UTF-8 may be surrogates, as aiosmtplib gives them.
    """
    return _printable(reply)[:_SHOWN]


def _printable(reply: str) -> str:
    if reply.isascii() and reply.isprintable() and "  " not in reply:
        return reply.strip()
    text = _decoded(reply.encode("utf-8", "surrogateescape"))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _decoded(octets: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):  # in which Chinese providers answer
        try:
            return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    return octets.decode("utf-8", "replace")


def enhanced_code(reply: str, digit: str = "[245]") -> str:
    """The enhanced status code of this class in the reply (RFC 3463), "" for none; no part of an IP address."""
    found = re.search(rf"(?<![\d.]){digit}\.\d{{1,3}}\.\d{{1,3}}(?![\d.]*\d)", reply)
    return found[0] if found else ""


class Reply(NamedTuple):
    """One whole reply: its code, and the words of its lines as they came."""

    code: int
    octets: bytes

    @property
    def text(self) -> str:
        """The words, whatever they are written in."""
        return _decoded(self.octets)


class MalformedReply(ValueError):
    """What came is no reply of SMTP, so that nobody can say any more which reply belongs to which command."""


_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_SINGLE_LINES = re.compile(rb"(?:[2-5]\d\d [\t -~]*\r\n)+")
_LONGEST = 65536  # octets of one reply; RFC 5321 section 4.5.3.1.5 allows 512 a line, which not every server keeps


class ReplyReader:
    """Octets in whatever portions they come → whole replies (RFC 5321 section 4.2.1)."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._words: list[bytes] = []
        self._size = 0

    def feed(self, octets: bytes) -> Iterator[Reply]:
        """The replies that are whole with these octets, one after the other.

        Raises MalformedReply in the place where they stop to make sense.
        """
        if not (self._rest or self._words) and len(octets) <= _LONGEST and _SINGLE_LINES.fullmatch(octets):
            for line in octets.splitlines():  # as nearly all of them come
                yield Reply(int(line[:3]), line[4:])
            return
        *lines, self._rest = (self._rest + octets).split(b"\n")
        for line in lines:
            found = _LINE.fullmatch(line.removesuffix(b"\r"))
            if found is None or self._code not in (b"", found[1]):
                raise MalformedReply(f"the server sent {legible(_decoded(line[:200]))!r}, which is no reply of SMTP")
            self._grow(len(line))
            self._code = found[1]
            self._words.append(found[3] or b"")
            if found[2] != b"-":
                yield Reply(int(self._code), b" ".join(self._words))
                self._code, self._words, self._size = b"", [], 0
        self._grow(0)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size + len(self._rest) > _LONGEST:
            raise MalformedReply(f"the server sent a reply of more than {_LONGEST} octets")
