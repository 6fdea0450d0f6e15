"""Mails that come back, as servers write them: each after the form that its name says, about a mail with this mark."""

from __future__ import annotations

from base64 import b64encode

US = "bounce@seminar.example.org"


def message_id(mark: str) -> str:
    return f"<2021-11-27.reminder-1d.0.{mark}@seminar.example.org>"


def original(mark: str, to: str) -> str:
    """The headers of our mail."""
    return (
        "Date: Fri, 26 Nov 2021 09:30:00 +0800\nFrom: Seminar <reminder@seminar.example.org>\n"
        f"To: {to}\nMessage-ID: {message_id(mark)}\nSubject: Seminar\n"
    )


def _report(  # one of RFC 3464
    fields: str,
    mark: str,
    to: str,
    *,
    recipient: str = "",
    sender: str = "MAILER-DAEMON@mail.example.org (Mail Delivery System)",
    subject: str = "Undelivered Mail Returned to Sender",
    text: str = "I'm sorry to have to inform you that your message could not be delivered.",
    envelope_id: str = "",
) -> bytes:
    about = f"Original-Envelope-Id: {envelope_id}\n" if envelope_id else ""
    named = f"Final-Recipient: rfc822; {recipient or to}\nOriginal-Recipient: rfc822;{recipient or to}\n"
    returned = original(mark, to) if mark else "Subject: Seminar\n"
    return (
        f"Return-Path: <>\nFrom: {sender}\nSubject: {subject}\nTo: {US}\nAuto-Submitted: auto-replied\n"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="B"\n\n'
        f"--B\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n\n"
        f"--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.org\n{about}\n"
        f"{named}{fields}\n"
        f"--B\nContent-Type: text/rfc822-headers\n\n{returned}\n--B--\n"
    ).encode()


def postfix_unknown_user(mark: str, to: str, **values: str) -> bytes:
    return _report(
        "Action: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.org\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 <{to}>: Recipient address rejected: User unknown in\n"
        "    virtual mailbox table\n",
        mark,
        to,
        **values,
    )


def postfix_bare_550(mark: str, to: str, said: str) -> bytes:
    """Of a server without enhanced codes Postfix makes 5.0.0."""
    return _report(f"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {said}\n", mark, to)


def postfix_full(mark: str, to: str) -> bytes:
    return _report("Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full\n", mark, to)


def postfix_gave_up(mark: str, to: str) -> bytes:
    return _report(
        "Action: failed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to mx.example.org[192.0.2.5]:25:\n"
        "    Connection timed out\n",
        mark,
        to,
    )


def postfix_delayed(mark: str, to: str) -> bytes:
    return _report(
        "Action: delayed\nStatus: 4.4.1\nDiagnostic-Code: smtp; connect: Connection refused\n"
        "Will-Retry-Until: Thu, 02 Dec 2021 09:30:00 +0800 (CST)\n",
        mark,
        to,
        subject="Delayed Mail (still being retried)",
        text="####\n# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n####",
    )


def postfix_delivered(mark: str, to: str) -> bytes:
    return _report(
        "Action: delivered\nStatus: 2.0.0\nDiagnostic-Code: X-Postfix; delivered to mailbox\n",
        mark,
        to,
        subject="Successful Mail Delivery Report",
    )


def exchange_blocked_by_policy(mark: str, to: str) -> bytes:
    return _report(
        "Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp;550 5.7.1 TRANSPORT.RULES.RejectMessage\n",
        mark,
        to,
        sender="MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.org",
        subject="Undeliverable: Seminar",
    )


def netease_user_not_found(mark: str, to: str) -> bytes:
    """Coremail, as 163, 126 and many universities run it: a report whose text is GBK."""
    words = f"您好！\n您发往 {to} 的邮件被退回。\n退信原因：收件人不存在。\n".encode("gbk")
    returned = original(mark, to).encode()
    status = (
        f"Reporting-MTA: dns; 163.com\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.0.0\n"
        f"Diagnostic-Code: smtp;SMTP error, RCPT TO: 550 User not found: {to}\n"
    ).encode()
    return (
        b"Return-Path: <>\nFrom: Postmaster@163.com\nTo: bounce@seminar.example.org\n"
        b"Subject: =?gbk?B?" + b64encode("系统退信".encode("gbk")) + b"?=\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\n\n'
        b"--B\nContent-Type: text/plain; charset=gbk\nContent-Transfer-Encoding: base64\n\n"
        + b64encode(words)
        + b"\n\n--B\nContent-Type: message/delivery-status\n\n"
        + status
        + b"\n--B\nContent-Type: message/rfc822\n\n"
        + returned
        + b"\nbody\n--B--\n"
    )


def tencent_text(mark: str, to: str, said: str = "该用户不存在") -> bytes:
    """QQ and Exmail: no report, a page in GB 18030, the mail returned behind it."""
    page = (
        f"<html><body><p>抱歉，您的邮件被退回来了……</p><table><tr><td>收件人：</td><td>&lt;{to}&gt;</td></tr>"
        f"<tr><td>退信原因：</td><td>{said}</td></tr></table></body></html>"
    ).encode("gb18030")
    return (
        b'From: "PostMaster@qq.com" <PostMaster@qq.com>\nTo: bounce@seminar.example.org\n'
        b"Subject: =?gb18030?B?" + b64encode("系统退信/Systems bounce".encode("gb18030")) + b"?=\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="B"\n\n'
        b"--B\nContent-Type: text/html; charset=gb18030\nContent-Transfer-Encoding: base64\n\n"
        + b64encode(page)
        + b"\n\n--B\nContent-Type: message/rfc822\n\n"
        + original(mark, to).encode()
        + b"\nbody\n--B--\n"
    )


def coremail_text(mark: str, to: str, said: str = "550 User not found") -> bytes:
    """The same without a report, from an account at NetEase: it tells the reason in Chinese, and the server's own."""
    words = (
        f"抱歉，您的邮件被退回来了……\n  原邮件信息：\n    主  题 研讨会\n    收件人 {to}\n"
        f"  退信原因：\n    您的邮件未能送达。\n    英文说明:{said}\n  建议解决方案：\n    请核对后再发送。\n\n"
        "----------------\nThis message is generated by Coremail.\n"
    ).encode("gbk")
    return (
        b"From: Postmaster@163.com\nTo: bounce@seminar.example.org\nMIME-Version: 1.0\n"
        b"Subject: =?gb2312?B?" + b64encode("系统退信".encode("gbk")) + b"?=\n"
        b'Content-Type: multipart/mixed; boundary="B"\n\n'
        b"--B\nContent-Type: text/plain; charset=gb2312\nContent-Transfer-Encoding: base64\n\n"
        + b64encode(words)
        + b"\n\n--B\nContent-Type: message/rfc822\n\n"
        + original(mark, to).encode()
        + b"\nbody\n--B--\n"
    )


def raw_gbk_subject(mark: str, to: str) -> bytes:
    """Octets where only ASCII may stand, as old systems write them."""
    words = f"邮件地址 {to} 不存在，无法投递。\nMessage-ID: {message_id(mark)}\n".encode("gbk")
    return b"From: postmaster@example.com\nSubject: " + "退信通知".encode("gbk") + b"\n\n" + words


def exim_unknown_user(mark: str, to: str) -> bytes:
    return (
        f"Return-path: <>\nX-Failed-Recipients: {to}\nAuto-Submitted: auto-replied\n"
        "From: Mail Delivery System <Mailer-Daemon@mail.example.org>\n"
        f"To: {US}\nSubject: Mail delivery failed: returning message to sender\n\n"
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error."
        f" The following address(es) failed:\n\n  {to}\n    SMTP error from remote mail server after RCPT TO:<{to}>:\n"
        "    host mx.example.org [192.0.2.5]: 550 5.1.1 No such user here\n\n"
        "------ This is a copy of the message, including all the headers. ------\n\n" + original(mark, to)
    ).encode()


def qmail_no_mailbox(mark: str, to: str) -> bytes:
    return (
        f"Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nTo: {US}\nSubject: failure notice\n\n"
        "Hi. This is the qmail-send program at example.com.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        f"This is a permanent error; I've given up. Sorry it didn't work out.\n\n<{to}>:\n"
        "Sorry, no mailbox here by that name. (#5.1.1)\n\n"
        "--- Below this line is a copy of the message.\n\n" + original(mark, to)
    ).encode()


def complaint(mark: str, to: str, kind: str = "abuse") -> bytes:
    """RFC 5965; providers take the reader's address away."""
    return (
        "From: <feedback@provider.example>\nTo: abuse@seminar.example.org\nSubject: FW: Seminar\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="B"\n\n'
        "--B\nContent-Type: text/plain\n\nThis is an email abuse report.\n\n"
        f"--B\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: Provider/1.0\nVersion: 1\n\n"
        f"--B\nContent-Type: message/rfc822\n\n{original(mark, 'redacted@provider.example')}\nbody\n--B--\n"
    ).encode()


def holiday(mark: str, to: str) -> bytes:
    return (
        f"From: {to}\nTo: {US}\nSubject: =?utf-8?b?{b64encode('自动回复：我在休假'.encode()).decode()}?=\n"
        f"In-Reply-To: {message_id(mark)}\nAuto-Submitted: auto-replied\n\nBack on Monday. Mail to nobody@example.com"
        " could not be delivered: 550 5.1.1 User unknown\n"
    ).encode()


def answer(mark: str, to: str) -> bytes:
    """A person who answers, and quotes what looks like a bounce."""
    return (
        f"From: {to}\nTo: organisers@example.org\nSubject: Re: Seminar\nIn-Reply-To: {message_id(mark)}\n\n"
        f"> 550 5.1.1 <{to}>: User unknown\n\nI had this last week, is all well?\n"
    ).encode()


def unsubscribe(token: str) -> bytes:
    return (f"From: somebody@example.net\nTo: {US}\nSubject: unsubscribe {token}\n\n\n").encode()
