from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier import advice
from notifier.advice import Offer, Way
from notifier.replies import Answer, Outcome, Stage

NOW = datetime(2021, 11, 26, tzinfo=UTC)
QQ = Way("smtp", "smtp.qq.com", 465, "implicit", "12345@qq.com", "12345@qq.com")
OWN = Way("smtp", "mail.example.org", 587, "starttls", "seminar", "seminar@example.org", "bounce@example.org")


def broken(way: Way) -> list[str]:
    return [str(problem) for problem in advice.broken_rules(way)]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("smtp.qq.com", "QQ"),
        ("SMTP.exmail.qq.com", "Exmail"),
        ("smtp.163.com", "NetEase"),
        ("smtp.126.com", "NetEase"),
        ("smtp.qiye.163.com", "NetEase"),
        ("smtp.gmail.com", "Gmail"),
        ("smtp.office365.com", "Microsoft"),
        ("email-smtp.eu-west-1.amazonaws.com", "Amazon SES"),
        ("mail.example.org", ""),
        ("notqq.com", ""),
        ("smtp.qq.com.example.org", ""),
    ],
)
def test_a_provider_is_known_by_its_mail_server(host: str, name: str) -> None:
    known = advice.customs(host)
    assert (known.name if known else "") == name


def test_settings_that_keep_every_rule_are_not_spoken_of() -> None:
    assert broken(QQ) == broken(OWN) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"username": "12345"}, "QQ wants the whole address as the login, not '12345'; write it as name@domain"),
        ({"username": ""}, "QQ takes mail only after a login; give [smtp] username and password"),
        (
            {"sender": "seminar@example.org"},
            "QQ refuses any sender but the login: seminar@example.org is not 12345@qq.com; set [mail] sender to",
        ),
        ({"return_path": "bounce@example.org"}, "QQ allows no sender of the envelope like bounce+…"),
        (
            {"port": 25, "tls": "starttls"},
            'QQ is not reached on port 25 with tls = "starttls"; use port 465 with tls = "implicit" or port 587',
        ),
        ({"tls": "starttls"}, 'QQ is not reached on port 465 with tls = "starttls"'),
        ({"host": "smtp.gmail.com", "username": "a@gmail.com"}, "Gmail sends as a@gmail.com, unless 12345@qq.com is"),
        ({"host": "smtp.office365.com"}, "Microsoft is not reached on port 465"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_with_what_to_do(changes: dict[str, str | int], told: str) -> None:
    assert told in broken(replace(QQ, **changes))[0]  # type: ignore[arg-type]


def test_the_second_server_is_advised_to_have_a_sender_of_its_own() -> None:
    second = replace(QQ, section="fallback", sender="seminar@example.org", return_path="bounce@example.org")
    sender, envelope = broken(second)
    assert "set [fallback] sender to 12345@qq.com" in sender
    assert "set [fallback] sender: to such a one mail comes back without a mark" in envelope
    assert broken(replace(second, sender="12345@qq.com", return_path="")) == []


def test_a_login_of_amazon_is_no_address() -> None:
    ses = replace(OWN, host="email-smtp.eu-west-1.amazonaws.com", username="AKIAEXAMPLE")
    assert broken(ses) == []


@pytest.mark.parametrize(
    ("way", "stage", "code", "reply", "told"),
    [
        (
            QQ, Stage.AUTH, 535, "Error: 请使用授权码登录",
            ("smtp.qq.com:465 refused the login: 535 Error: 请使用授权码登录;"
            " check [smtp] username and password; QQ wants the authorisation code (授权码)"),
        ),
        (OWN, Stage.AUTH, 535, "5.7.8 no", "many providers want a code made for mail programs"),
        (OWN, Stage.AUTH, 454, "4.7.0 busy", "put the login off: 454 4.7.0 busy; try again later"),
        (OWN, Stage.CONNECT, None, "mail.example.org:587: nothing listens; check host", "nothing listens; check host"),
        (OWN, Stage.CONNECT, 554, "5.7.1 no", "mail.example.org:587 refused us: 554 5.7.1 no"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_people_need(way: Way, stage: Stage, code: int | None, reply: str, told: str) -> None:
    assert told in str(advice.refusal(way, Outcome(Answer.RELAY, code, reply, stage=stage)))


def test_an_offer_is_told_by_what_it_means_for_mail() -> None:
    plain = Offer({}, ())
    assert list(advice.meaning(plain)) == [
        "no PIPELINING: a mail takes four round trips",
        "no DSN: what comes back is known by its Message-ID, or by [bounces] address",
        "no SMTPUTF8: an address with other letters than a-z before its @ cannot be mailed",
        "no login is offered",
    ]
    rich = Offer({"pipelining": "", "size": "73400320", "dsn": "", "smtputf8": ""}, ("LOGIN", "PLAIN"))
    assert list(advice.meaning(rich)) == [
        "PIPELINING: a mail takes one round trip",
        "SIZE: mails of up to 73.4 MB",
        "DSN: it is asked to report in a form that names the delivery",
        "SMTPUTF8: addresses in all scripts can be mailed",
        "logins: LOGIN PLAIN",
    ]


@pytest.mark.parametrize(
    ("offer", "foreign", "told"),
    [
        (Offer({"size": "100000"}, ()), 0, ["it takes no mail over 100000 octets"]),
        (Offer({"size": "nonsense"}, ()), 0, []),
        (Offer({}, ()), 2, ["2 subscribers have addresses that it cannot carry"]),
        (Offer({"smtputf8": ""}, ()), 2, []),
        (Offer({}, (), "TLSv1"), 0, ["it speaks TLSv1, which is broken"]),
        (Offer({}, (), "TLSv1.3", NOW + timedelta(days=13)), 0, ["its certificate ends on 2021-12-09"]),
        (Offer({}, (), "TLSv1.3", NOW + timedelta(days=15)), 0, []),
    ],
)
def test_what_is_doubtful_in_an_offer_is_told(offer: Offer, foreign: int, told: list[str]) -> None:
    doubts = [str(doubt) for doubt in advice.doubts(offer, NOW, foreign)]
    assert len(doubts) == len(told)
    assert all(doubt.startswith(words) for doubt, words in zip(doubts, told, strict=True))
