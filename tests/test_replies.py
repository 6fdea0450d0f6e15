"""Every reply of a mail server has one meaning, and no recipient is blamed for what is ours or will pass."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.replies import Answer, Fault, MalformedReply, Outcome, Reply, ReplyReader, Stage, classify, legible

SOON, MINUTE, QUARTER, HOUR = (timedelta(seconds=s) for s in (15, 60, 900, 3600))
TWO_MINUTES = timedelta(minutes=2)


# Each row says: at this stage, this reply, means this, and rests the relay so long.
REPLIES = [
    (Stage.CONNECT, 220, "mail.example.org ESMTP", Answer.ACCEPTED, None),
    (Stage.CONNECT, None, "connection refused", Answer.RELAY, SOON),
    (Stage.CONNECT, 421, "4.3.2 service not available", Answer.RELAY, SOON),
    (Stage.CONNECT, 421, "HL:ICC too many from this address", Answer.RELAY, MINUTE),
    (Stage.CONNECT, 421, "HL:IFC", Answer.RELAY, QUARTER),
    (Stage.CONNECT, 550, "Connection frequency limited", Answer.RELAY, QUARTER),
    (Stage.CONNECT, 554, "5.7.1 no SMTP service here", Answer.RELAY, QUARTER),
    (Stage.HELLO, 504, "5.5.2 need a full host name", Answer.RELAY, QUARTER),
    (Stage.TLS, 454, "4.7.0 TLS not available now", Answer.RELAY, SOON),
    (Stage.AUTH, 235, "2.7.0 welcome", Answer.ACCEPTED, None),
    (Stage.AUTH, 535, "5.7.8 bad credentials", Answer.RELAY, QUARTER),
    (Stage.AUTH, 454, "4.7.0 try again later", Answer.RELAY, MINUTE),
    (Stage.AUTH, 421, "4.7.0 closing", Answer.RELAY, MINUTE),
    (Stage.AUTH, None, "connection lost", Answer.RELAY, QUARTER),
    (Stage.MAIL, 250, "ok", Answer.ACCEPTED, None),
    (Stage.MAIL, None, "connection lost", Answer.DEFERRED, None),
    (Stage.MAIL, 421, "4.4.2 timeout", Answer.DEFERRED, SOON),
    (Stage.MAIL, 451, "4.3.0 local error", Answer.DEFERRED, None),
    (Stage.MAIL, 450, "MI:DMC", Answer.DEFERRED, None),
    (Stage.MAIL, 451, "MI:SFQ", Answer.DEFERRED, QUARTER),
    (Stage.MAIL, 550, "MI:STC", Answer.DEFERRED, HOUR),
    (Stage.MAIL, 550, "Sender frequency limited", Answer.DEFERRED, QUARTER),
    (Stage.MAIL, 550, "5.4.5 Daily user sending limit exceeded", Answer.DEFERRED, HOUR),
    (Stage.MAIL, 501, "mail from address must be same as authorization user", Answer.RELAY, QUARTER),
    (Stage.MAIL, 530, "5.7.0 authentication required", Answer.RELAY, QUARTER),
    (Stage.MAIL, 550, "5.1.1 unknown", Answer.RELAY, QUARTER),
    (Stage.MAIL, 503, "nested MAIL", Answer.RELAY, QUARTER),
    (Stage.MAIL, 552, "message size exceeds the fixed maximum", Answer.DEFERRED, None),
    (Stage.MAIL, 554, "5.3.4 message too big", Answer.DEFERRED, None),
    (Stage.RCPT, 251, "will forward", Answer.ACCEPTED, None),
    (Stage.RCPT, 252, "cannot verify, but will try", Answer.ACCEPTED, None),
    (Stage.RCPT, None, "timed out", Answer.DEFERRED, None),
    (Stage.RCPT, 354, "out of place", Answer.DEFERRED, None),
    (Stage.RCPT, 421, "4.3.0 closing", Answer.DEFERRED, SOON),
    (Stage.RCPT, 450, "4.2.0 greylisted", Answer.DEFERRED, None),
    (Stage.RCPT, 451, "4.4.5 server busy", Answer.DEFERRED, None),
    (Stage.RCPT, 452, "4.2.2 mailbox full", Answer.DEFERRED, None),
    (Stage.RCPT, 450, "RP:DRC", Answer.DEFERRED, None),
    (Stage.RCPT, 451, "RP:QRC", Answer.DEFERRED, QUARTER),
    (Stage.RCPT, 454, "4.7.1 relay access denied", Answer.DEFERRED, None),
    (Stage.RCPT, 550, "5.1.1 no such user", Answer.REFUSED, None),
    (Stage.RCPT, 550, "5.1.2 no such domain", Answer.REFUSED, None),
    (Stage.RCPT, 550, "5.2.1 mailbox disabled", Answer.REFUSED, None),
    (Stage.RCPT, 550, "Invalid User", Answer.REFUSED, None),
    (Stage.RCPT, 550, "Mailbox not found from [5.7.1.9]", Answer.REFUSED, None),
    (Stage.RCPT, 550, "User not found: ada", Answer.REFUSED, None),
    (Stage.RCPT, 550, "Ip frequency limited", Answer.DEFERRED, QUARTER),
    (Stage.RCPT, 450, "4.7.0 rate limited, slow down", Answer.DEFERRED, QUARTER),
    (Stage.RCPT, 550, "please try again later", Answer.DEFERRED, None),
    (Stage.RCPT, 554, "IP is rejected, DP:IPB", Answer.DEFERRED, None),
    (Stage.RCPT, 551, "user not local", Answer.REFUSED, None),
    (Stage.RCPT, 553, "mailbox name not allowed", Answer.REFUSED, None),
    (Stage.RCPT, 501, "5.1.3 bad address syntax", Answer.REFUSED, None),
    (Stage.RCPT, 552, "storage exceeded", Answer.DEFERRED, None),
    (Stage.RCPT, 554, "5.2.2 over quota", Answer.DEFERRED, None),
    (Stage.RCPT, 550, "user's mailbox is full", Answer.DEFERRED, None),
    (Stage.RCPT, 550, "Mailbox unavailable or access denied", Answer.DEFERRED, None),
    (Stage.RCPT, 550, "Domain frequency limited", Answer.DEFERRED, QUARTER),
    (Stage.RCPT, 550, "5.1.90 you've reached your daily limit for message recipients", Answer.DEFERRED, HOUR),
    (Stage.RCPT, 550, "RP:TRC", Answer.DEFERRED, HOUR),
    (Stage.RCPT, 550, "5.7.1 not authorised", Answer.DEFERRED, SOON),
    (Stage.RCPT, 554, "5.7.1 <ada@example.org>: Relay access denied", Answer.DEFERRED, SOON),
    (Stage.RCPT, 553, "sorry, that domain isn't in my list of allowed rcpthosts", Answer.DEFERRED, SOON),
    (Stage.RCPT, 553, "5.1.8 <seminar@example.org>: domain not found", Answer.RELAY, QUARTER),
    (Stage.RCPT, 553, "5.7.1 Sender address rejected: not owned by user", Answer.RELAY, QUARTER),
    (Stage.RCPT, 553, "authentication is required", Answer.RELAY, QUARTER),
    (Stage.RCPT, 530, "5.7.0 must issue STARTTLS", Answer.RELAY, QUARTER),
    (Stage.RCPT, 503, "5.5.1 need MAIL", Answer.DEFERRED, SOON),
    (Stage.RCPT, 504, "5.5.2 <ada@example>: need a full address", Answer.DEFERRED, SOON),
    (Stage.RCPT, 504, "5.5.2 <laptop>: Helo command rejected: need a full host name", Answer.RELAY, QUARTER),
    (Stage.DATA, 354, "go on", Answer.ACCEPTED, None),
    (Stage.DATA, 250, "out of place", Answer.DEFERRED, None),
    (Stage.DATA, None, "connection lost", Answer.DEFERRED, None),
    (Stage.DATA, 452, "4.3.1 no room", Answer.DEFERRED, None),
    (Stage.DATA, 554, "5.5.1 no valid recipients", Answer.DEFERRED, None),
    (Stage.BODY, 250, "2.0.0 queued as 4F", Answer.ACCEPTED, None),
    (Stage.BODY, 252, "perhaps", Answer.ACCEPTED, None),
    (Stage.BODY, None, "connection lost", Answer.AMBIGUOUS, None),
    (Stage.BODY, -1, "malformed", Answer.AMBIGUOUS, None),
    (Stage.BODY, 354, "go on", Answer.AMBIGUOUS, None),
    (Stage.BODY, 421, "4.3.0 closing", Answer.DEFERRED, SOON),
    (Stage.BODY, 451, "4.3.0 try later", Answer.DEFERRED, None),
    (Stage.BODY, 451, "DT:SPM, please try again", Answer.DEFERRED, TWO_MINUTES),
    (Stage.BODY, 554, "DT:SPM", Answer.DEFERRED, TWO_MINUTES),
    (Stage.BODY, 554, "DT:SUM", Answer.RELAY, QUARTER),
    (Stage.BODY, 552, "too much mail data", Answer.DEFERRED, None),
    (Stage.BODY, 550, "5.1.1 no such user", Answer.REFUSED, None),
    (Stage.BODY, 554, "Mail content denied", Answer.DEFERRED, None),
    (Stage.BODY, 552, "5.2.2 mailbox full", Answer.DEFERRED, None),
    (Stage.BODY, 552, "5.4.5 quota", Answer.DEFERRED, HOUR),
    (Stage.BODY, 500, "line too long", Answer.DEFERRED, None),
    (Stage.BODY, 550, "5.7.515 sender must pass DMARC", Answer.RELAY, QUARTER),
    (Stage.BODY, 550, "5.7.1 message content rejected", Answer.DEFERRED, SOON),
]


@pytest.mark.parametrize(("stage", "code", "reply", "answer", "pause"), REPLIES)
def test_a_reply_means_what_the_providers_mean_by_it(
    stage: Stage, code: int | None, reply: str, answer: Answer, pause: timedelta | None
) -> None:
    told = None if code == -1 else code
    outcome = classify(stage, code, reply)
    assert outcome == Outcome(answer, told, reply, pause, stage, outcome.fault)


@pytest.mark.parametrize(
    ("stage", "code", "reply", "fault"),
    [
        (Stage.CONNECT, 421, "busy", Fault.LINK),
        (Stage.CONNECT, 550, "Connection frequency limited", Fault.RATE),
        (Stage.CONNECT, 421, "4.7.0 too many concurrent connections", Fault.CROWD),
        (Stage.MAIL, 421, "HL:ICC", Fault.CROWD),
        (Stage.AUTH, 535, "no", Fault.SETTINGS),
        (Stage.MAIL, 550, "Sender frequency limited", Fault.RATE),
        (Stage.MAIL, 501, "mail from address must be same as authorization user", Fault.SETTINGS),
        (Stage.MAIL, 451, "not now", Fault.POLICY),
        (Stage.RCPT, 450, "greylisted", Fault.RECIPIENT),
        (Stage.RCPT, 550, "5.7.1 no", Fault.POLICY),
        (Stage.RCPT, 550, "5.1.1 no such user", Fault.RECIPIENT),
        (Stage.BODY, 554, "DT:SPM", Fault.CONTENT),
        (Stage.BODY, 552, "too much mail data", Fault.CONTENT),
        (Stage.BODY, None, "connection lost", Fault.LINK),
        (Stage.BODY, 250, "taken", None),
        (Stage.BODY, 252, "perhaps", None),
        (Stage.BODY, 235, "welcome", Fault.LINK),
    ],
)
def test_a_reply_says_what_is_at_fault(stage: Stage, code: int | None, reply: str, fault: Fault | None) -> None:
    assert classify(stage, code, reply).fault is fault


@given(st.sampled_from(Stage), st.one_of(st.none(), st.integers(-1, 999)), st.text(max_size=700))
def test_every_reply_has_a_meaning_that_blames_no_recipient_too_early(
    stage: Stage, code: int | None, reply: str
) -> None:
    outcome = classify(stage, code, reply)
    assert len(outcome.reply) <= 500
    assert outcome.reply.isprintable()
    if stage in {Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH}:
        assert outcome.answer in {Answer.ACCEPTED, Answer.RELAY}
    if outcome.answer is Answer.AMBIGUOUS:
        assert stage is Stage.BODY
    if outcome.answer is Answer.RELAY:
        assert outcome.pause is not None
    assert (outcome.fault is None) == (outcome.answer is Answer.ACCEPTED)
    if outcome.answer is Answer.REFUSED:
        assert code is not None
        assert 500 <= code <= 599


def test_the_words_that_count_may_stand_at_the_end_of_a_long_reply() -> None:
    outcome = classify(Stage.RCPT, 550, f"{'see our policy ' * 100} Sender frequency limited")
    assert (outcome.answer, outcome.fault, len(outcome.reply)) == (Answer.DEFERRED, Fault.RATE, 500)


def test_what_is_said_to_the_sender_is_said_to_the_link() -> None:
    stages = (Stage.MAIL, Stage.RCPT, Stage.BODY)
    assert [classify(stage, 552, "5.3.4 too big").ends_link for stage in stages] == [True, False, False]


def test_a_number_that_is_no_code_is_no_reply() -> None:
    told = [classify(Stage.RCPT, code, "").code for code in (199, 200, 599, 600)]
    assert told == [None, 200, 599, None]


@pytest.mark.parametrize(
    ("stage", "code", "reply", "ends"),
    [
        (Stage.RCPT, 450, "4.2.0 greylisted", False),
        (Stage.BODY, 554, "DT:SPM", False),
        (Stage.BODY, 250, "taken", False),
        (Stage.BODY, 451, "4.7.1 policy", True),
        (Stage.RCPT, 421, "4.3.2 closing", True),
        (Stage.RCPT, 550, "5.7.1 SPF check failed", True),
    ],
)
def test_what_is_said_of_a_message_leaves_the_link_and_what_is_said_of_us_does_not(
    stage: Stage, code: int, reply: str, ends: bool
) -> None:
    assert classify(stage, code, reply).ends_link is ends


def test_an_address_is_dead_only_when_the_server_says_so_by_number() -> None:
    replies = ["5.1.1 unknown", "5.1.10 null MX", "no such user", "5.2.1 disabled", "from 5.1.1.7", "see 15.1.1"]
    assert [classify(Stage.RCPT, 550, reply).is_dead_address for reply in replies] == [True, True] + 4 * [False]


def test_a_sender_said_to_be_unknown_makes_no_address_dead() -> None:
    assert not classify(Stage.MAIL, 550, "5.1.1 unknown").is_dead_address


def test_a_reply_is_told_in_one_printable_line() -> None:
    assert legible("5.1.1 no\nsuch\t\x1b[31muser\0") == "5.1.1 no such [31muser"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_chinese_reply_can_be_read(encoding: str) -> None:
    octets = "Error: 请使用授权码登录".encode(encoding)
    assert legible(octets.decode("utf-8", "surrogateescape")) == "Error: 请使用授权码登录"


def test_octets_of_no_known_encoding_are_replaced() -> None:
    assert legible("no \udcff\udcff way") == "no \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} way"


# Octets → replies ---------------------------------------------------------------------------------------------------

lines = st.binary(max_size=40).map(lambda octets: octets.replace(b"\n", b"").rstrip(b"\r"))
replies = st.tuples(st.integers(200, 599), st.lists(lines, min_size=1, max_size=4))


def as_sent(code: int, texts: list[bytes], end: bytes) -> bytes:
    return b"".join(b"%d%s%s%s" % (code, b"- "[n == len(texts) :][:1], text, end) for n, text in enumerate(texts, 1))


@given(st.lists(replies, max_size=4), st.lists(st.integers(0, 300), max_size=6), st.sampled_from([b"\r\n", b"\n"]))
def test_replies_are_the_same_however_they_are_portioned(
    sent: list[tuple[int, list[bytes]]], cuts: list[int], end: bytes
) -> None:
    octets = b"".join(as_sent(code, texts, end) for code, texts in sent)
    places = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    reader = ReplyReader()
    read = [reply for a, b in itertools.pairwise(places) for reply in reader.feed(octets[a:b])]
    assert read == [Reply(code, b" ".join(texts)) for code, texts in sent]


def test_what_has_begun_goes_on_in_the_next_portion() -> None:
    reader = ReplyReader()
    assert [list(reader.feed(portion)) for portion in (b"250-a\r\n", b"250 b\r\n")] == [[], [Reply(250, b"a b")]]
    assert [list(reader.feed(portion)) for portion in (b"250 a", b"250 b\r\n")] == [[], [Reply(250, b"a250 b")]]


def test_a_reply_may_be_a_bare_code() -> None:
    assert list(ReplyReader().feed(b"250\r\n354 go\r\n")) == [Reply(250, b""), Reply(354, b"go")]


@pytest.mark.parametrize(
    "octets",
    [
        b"hello\r\n",
        b"\r\n",
        b"25\r\n",
        b"099 x\r\n",
        b"600 x\r\n",
        b"250x\r\n",
        b"250-\r\n251 \r\n",
        b"250-\r\n550 \r\n",
    ],
)
def test_what_is_no_reply_is_refused(octets: bytes) -> None:
    with pytest.raises(MalformedReply, match="no reply of SMTP"):
        list(ReplyReader().feed(octets))


def test_what_was_whole_before_something_that_is_no_reply_is_given() -> None:
    reader = ReplyReader().feed(b"250 taken\r\nhello\r\n")
    assert next(reader) == Reply(250, b"taken")
    with pytest.raises(MalformedReply):
        next(reader)


@pytest.mark.parametrize("octets", [b"2" * 70_000, b"250-" + 60 * b"x" + b"\r\n", b"250 " + 70_000 * b"x" + b"\r\n"])
def test_a_reply_without_an_end_is_refused_before_it_fills_the_memory(octets: bytes) -> None:
    reader = ReplyReader()
    for _ in range(65_536 // len(octets)):
        assert list(reader.feed(octets)) == []
    with pytest.raises(MalformedReply, match="more than 65536 octets"):
        list(reader.feed(20 * octets))


def test_many_replies_at_once_are_no_long_reply() -> None:
    assert len(list(ReplyReader().feed(20_000 * b"250 ok\r\n"))) == 20_000
    assert len(list(ReplyReader().feed(20_000 * b"250-a\r\n250 ok\r\n"))) == 20_000
