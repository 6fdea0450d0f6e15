from __future__ import annotations

from collections.abc import Callable

import pytest
import returned
from hypothesis import given
from hypothesis import strategies as st

from notifier import marks, returns
from notifier.returns import Meaning

TO = "bob@example.org"
MARK = marks.mark("a key for tests", ("2021-11-27", "reminder-1d", 0), 7)


@pytest.mark.parametrize(
    ("form", "meaning", "said"),
    [
        (returned.postfix_unknown_user, Meaning.HARD, "550 5.1.1 <bob@example.org>: Recipient address rejected:"),
        (returned.exim_unknown_user, Meaning.HARD, "host mx.example.org [192.0.2.5]: 550 5.1.1 No such user here"),
        (returned.qmail_no_mailbox, Meaning.HARD, "Sorry, no mailbox here by that name. (#5.1.1)"),
        (returned.netease_user_not_found, Meaning.HARD, "5.0.0 SMTP error, RCPT TO: 550 User not found"),
        (returned.coremail_text, Meaning.HARD, "英文说明:550 User not found"),
        (returned.tencent_text, Meaning.HARD, "退信原因： 该用户不存在"),
        (returned.raw_gbk_subject, Meaning.HARD, "邮件地址 bob@example.org 不存在，无法投递。"),
        (returned.postfix_full, Meaning.SOFT, "552 5.2.2 Mailbox full"),
        (returned.postfix_gave_up, Meaning.SOFT, "4.4.1 connect to mx.example.org[192.0.2.5]:25: Connection timed out"),
        (returned.exchange_blocked_by_policy, Meaning.SOFT, "550 5.7.1 TRANSPORT.RULES.RejectMessage"),
        (returned.postfix_delayed, Meaning.DELAYED, "4.4.1 connect: Connection refused"),
        (returned.complaint, Meaning.COMPLAINT, "abuse reported by Provider/1.0"),
        (returned.holiday, Meaning.AUTOMATIC, ""),
        (returned.postfix_delivered, Meaning.AUTOMATIC, ""),
    ],
)
def test_what_came_back_is_understood_and_known_by_its_mark(
    form: Callable[[str, str], bytes], meaning: Meaning, said: str
) -> None:
    reading = returns.read(form(MARK, TO))
    assert (reading.meaning, reading.marks[:1]) == (meaning, (MARK,))
    assert reading.said.startswith(said)
    assert reading.about("Bob@example.org") is meaning
    assert returns.read(form(MARK, TO).replace(b"\n", b"\r\n")) == reading


@pytest.mark.parametrize("subject", ["Re: Seminar", "Re: Undelivered Mail Returned to Sender", "回复: 系统退信"])
def test_a_persons_answer_is_no_bounce_whatever_it_quotes(subject: str) -> None:
    mail = returned.answer(MARK, TO).replace(b"Re: Seminar", subject.encode())
    assert returns.read(mail).meaning is Meaning.OTHER


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            "550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000728",
            Meaning.HARD,
        ),
        ("550 User not found: bob@163.com", Meaning.HARD),
        ("550 Sender frequency limited", Meaning.SOFT),
        ("550 Connection frequency limited", Meaning.SOFT),
        ("550 5.7.1 user unknown to our policy", Meaning.SOFT),
        ("550 5.1.1 Sender frequency limited. User not found", Meaning.SOFT),
        ("554 DT:SPM 163 smtp1", Meaning.SOFT),
        ("550 5.4.5 Daily user sending quota exceeded", Meaning.SOFT),
        ("550 User suspended", Meaning.SOFT),
        ("550 Mailbox unavailable or access denied", Meaning.SOFT),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", Meaning.HARD),
        ("552 5.1.1 quota exceeded", Meaning.SOFT),
    ],
)
def test_only_a_mailbox_that_does_not_exist_is_dead(said: str, meaning: Meaning) -> None:
    assert returns.read(returned.postfix_bare_550(MARK, TO, said)).meaning is meaning


@pytest.mark.parametrize("said", ["收件人空间不足", "邮件内容被拒绝", "550 Connection frequency limited"])
def test_a_page_of_tencent_that_says_another_reason_is_soft(said: str) -> None:
    assert returns.read(returned.tencent_text(MARK, TO, said)).meaning is Meaning.SOFT


@pytest.mark.parametrize("said", ["rejected by system", "Can not connect to example.org:192.0.2.5", "550 5.7.1 no"])
def test_a_text_of_netease_that_says_another_reason_is_soft(said: str) -> None:
    assert returns.read(returned.coremail_text(MARK, TO, said)).meaning is Meaning.SOFT


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        (b"Action: error\nStatus: 5.1.1\n", Meaning.HARD),
        (b"Status: 5.2.2\n", Meaning.SOFT),
        (b"Status: 4.4.1\n", Meaning.DELAYED),
        (b"Action: relayed\nStatus: 5.1.1\n", Meaning.AUTOMATIC),
        (b"Action: failed (permanent)\n", Meaning.SOFT),
        (b"Action: expanded\n", Meaning.AUTOMATIC),
    ],
)
def test_a_report_that_leaves_fields_out_is_read_by_those_that_are_there(fields: bytes, meaning: Meaning) -> None:
    mail = returned.postfix_full(MARK, TO)
    head, _, tail = mail.partition(b"Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full\n")
    assert tail
    reading = returns.read(head + fields + tail)
    assert (reading.meaning, reading.marks) == (meaning, (MARK,))


def test_a_report_without_fields_is_read_by_its_text() -> None:
    mail = returned.postfix_unknown_user(MARK, TO, text=f"<{TO}>: host mx said: 550 5.1.1 User unknown")
    head, _, tail = mail.partition(b"Action: failed")
    empty = head + b"\n" + tail[tail.index(b"--B") :]
    reading = returns.read(empty)
    assert (reading.meaning, reading.marks) == (Meaning.HARD, (MARK,))


@pytest.mark.parametrize(
    "head",
    [b"From: MDaemon@receive.example.com\n", b"Return-Path: <MAILER-DAEMON@sb7.example.com>\nFrom: imss@example.com\n"],
)
def test_servers_are_known_by_their_names(head: bytes) -> None:
    mail = head + b"Subject: Mail could not be delivered\n\n550 5.1.1 <bob@example.org>: user unknown\n"
    assert returns.read(mail).meaning is Meaning.HARD


def test_a_dead_address_behind_a_forward_does_not_kill_the_subscribers_own() -> None:
    reading = returns.read(returned.postfix_unknown_user(MARK, TO, recipient="old@elsewhere.example"))
    assert reading.meaning is Meaning.HARD
    assert reading.about(TO) is Meaning.SOFT
    assert reading.about("OLD@elsewhere.example") is Meaning.HARD


def test_the_worst_of_several_recipients_counts() -> None:
    delayed = b"Final-Recipient: rfc822; x@example.org\nAction: delayed\nStatus: 4.4.1\n\nFinal-Recipient"
    reading = returns.read(returned.postfix_unknown_user(MARK, TO).replace(b"Final-Recipient", delayed, 1))
    assert (reading.meaning, reading.recipients) == (Meaning.HARD, frozenset({TO}))


def test_the_envelope_names_the_mail_before_its_headers_do() -> None:
    other = marks.mark("a key for tests", ("2021-11-27", "reminder-1h", 0), 7)
    third = marks.mark("a key for tests", ("2021-11-27", "announcement", 0), 7)
    mail = returned.postfix_unknown_user(MARK, TO, envelope_id=other)
    verp = mail.replace(b"To: bounce@", b"To: bounce+" + third.upper().encode() + b"@", 1)
    assert returns.read(mail).marks == (other, MARK)
    assert returns.read(verp).marks == (third, other, MARK)


def test_a_report_that_is_no_complaint_is_none() -> None:
    assert returns.read(returned.complaint(MARK, TO, "not-spam")).meaning is Meaning.AUTOMATIC


@pytest.mark.parametrize("subject", ["unsubscribe {}", "Re: Unsubscribe: {}", "=?utf-8?q?unsubscribe_{}?="])
def test_a_request_to_unsubscribe_carries_its_token(subject: str) -> None:
    mail = f"From: x@example.net\nSubject: {subject.format('MTIz.AbC-d.' + 'e' * 20)}\n\n".encode()
    reading = returns.read(mail)
    assert (reading.meaning, reading.marks) == (Meaning.UNSUBSCRIBE, ("MTIz.AbC-d." + "e" * 20,))


def test_unsubscribe_without_a_token_is_for_a_person() -> None:
    assert returns.read(b"From: x@example.net\nSubject: unsubscribe me please\n\n").meaning is Meaning.OTHER


def nested(depth: int) -> bytes:
    opening = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    return b"From: mailer-daemon@x\nSubject: Undeliverable\n" + opening


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\0" * 1000,
        b"Subject: =?gbk?b?////?=\nFrom: postmaster@x\nContent-Type: text/plain; charset=no-such\n\n\xff\xfe",
        b"From: postmaster@x\nContent-Type: message/delivery-status\n\n" + b"Status: 5.1.1\n" * 1000,
        b"Content-Type: multipart/report; report-type=delivery-status\n\nno boundary",
        b"Content-Type: message/feedback-report\n\n",
        b"From: mailer-daemon@x\nContent-Transfer-Encoding: base64\n\n!!!!",
        b"From: mailer-daemon@x\nSubject: =?=?=?=?\nTo: " + b"=?x?q?" * 10000 + b"\n\n",
        nested(20),
        nested(10000) + b"\n" * 200_000,
        b"From: mailer-daemon@x\nSubject: failure notice\n\n" + b" " * 260_000,
        b"From: mailer-daemon@x\nSubject: failure notice\n\n" + b"<a@b>\n\n" * 40_000,
        b"From: " * 40_000,
    ],
    ids=range(13),
)
def test_what_is_malformed_or_made_to_hurt_is_read_and_kills_nobody(mail: bytes) -> None:
    assert returns.read(mail).marks == ()


@pytest.mark.parametrize("piece", ["<", "a@", "a.b@c.", "5.1.", "用户", "=?x?q?"])
def test_reading_takes_no_longer_than_the_mail_is_long(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were one pattern's time the square of a line's length, this would take an hour."""
    monkeypatch.setattr(returns, "LARGEST", 4_000_000)
    mail = "From: mailer-daemon@x\nSubject: failure notice\nContent-Type: text/html\n\n" + piece * (
        2_000_000 // len(piece)
    )
    assert returns.read(mail.encode()).meaning is Meaning.SOFT


def test_a_mail_of_too_many_parts_is_not_parsed() -> None:
    assert returns.read(nested(60)).said == "too many parts"


@given(st.binary(max_size=400))
def test_reading_never_raises(octets: bytes) -> None:
    for mail in (octets, returned.postfix_unknown_user(MARK, TO)[: len(octets) * 4] + octets):
        assert isinstance(returns.read(mail), returns.Reading)
