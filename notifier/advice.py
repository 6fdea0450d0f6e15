"""What a mail server says and what its provider is known to want → what the settings break, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.errors import Problem
from notifier.replies import Outcome, Stage

ENDS_SOON = timedelta(days=14)
LARGEST_MAIL = 200_000  # ours are 15 to 50 kB
_OLD_TLS = ("SSLv3", "TLSv1", "TLSv1.1")


@dataclass(frozen=True, slots=True)
class Customs:
    """What one provider is known to want of its customers.

    `domains` are those of its own addresses, and `spf` is what the record of any other domain must include. Where
    `sender_is_login`, it takes no other sender than the login; where `rewrites`, it puts the login in the place of one.
    """

    name: str
    hosts: str
    password: str
    spf: str
    domains: tuple[str, ...] = ()
    ports: Mapping[int, str] | None = None
    sender_is_login: bool = False
    rewrites: bool = False
    login_is_address: bool = True


_CUSTOMS = (
    Customs(
        "Exmail",
        r"(.+\.)?exmail\.qq\.com",
        "the client password (客户端专用密码), where secure login is on for the mailbox",
        "spf.mail.qq.com",
        ports={465: "implicit", 587: "starttls"},
        sender_is_login=True,
    ),
    Customs(
        "QQ",
        r"(.+\.)?qq\.com",
        "the authorisation code (授权码) from Settings, Account, and never the password of the mailbox",
        "spf.mail.qq.com",
        ("qq.com", "vip.qq.com", "foxmail.com"),
        {465: "implicit", 587: "starttls"},
        sender_is_login=True,
    ),
    Customs(
        "NetEase",
        r"(.+\.)?(163|126|yeah)\.(com|net)",
        "the authorisation code (授权码) from Settings, POP3/SMTP/IMAP, and never the password of the mailbox",
        "spf.163.com",
        ("163.com", "126.com", "yeah.net", "vip.163.com"),
        {465: "implicit", 994: "implicit", 587: "starttls"},
        sender_is_login=True,
    ),
    Customs(
        "Gmail",
        r"smtp(-relay)?\.gmail\.com",
        "an app password of 16 letters, which it gives to accounts with two-step verification",
        "_spf.google.com",
        ("gmail.com", "googlemail.com"),
        {465: "implicit", 587: "starttls"},
        rewrites=True,
    ),
    Customs(
        "Microsoft",
        r"smtp\.office365\.com|smtp-mail\.outlook\.com",
        "a mailbox for which authenticated SMTP is switched on; it withdraws logins by password from one after another",
        "spf.protection.outlook.com",
        ("outlook.com", "hotmail.com", "live.com"),
        {587: "starttls"},
        rewrites=True,
    ),
    Customs(
        "Amazon SES",
        r"email-smtp\..+\.amazonaws\.com",
        "the SMTP credentials made in its console, which are not the access key",
        "amazonses.com",
        ports={465: "implicit", 587: "starttls"},
        login_is_address=False,
    ),
)


def customs(host: str) -> Customs | None:
    """Those of the provider whose mail server this is."""
    return next((known for known in _CUSTOMS if re.fullmatch(known.hosts, host.lower())), None)


@dataclass(frozen=True, slots=True)
class Way:
    """How mail leaves, as far as providers have rules for it; `section` is where the settings say so."""

    section: str
    host: str
    port: int
    tls: str
    username: str
    sender: str
    return_path: str = ""

    @property
    def sender_setting(self) -> str:
        """Where this way alone may have another sender."""
        return "[fallback] sender" if self.section == "fallback" else "[mail] sender"


def broken_rules(way: Way) -> Iterator[Problem]:
    """The known rules of the way's provider that it breaks."""
    known = customs(way.host)
    if known is None:
        return
    if known.login_is_address and way.username and "@" not in way.username:
        told = f"{known.name} wants the whole address as the login, not {way.username!r}"
        yield Problem(told, f"write it as name@domain in [{way.section}] username")
    if not way.username:
        yield Problem(f"{known.name} takes mail only after a login", f"give [{way.section}] username and password")
    elif known.sender_is_login and way.sender.casefold() != way.username.casefold():
        told = f"{known.name} refuses any sender but the login: {way.sender} is not {way.username}"
        yield Problem(told, f"set {way.sender_setting} to {way.username}; answers can go elsewhere by reply_to")
    elif known.rewrites and way.sender.casefold() != way.username.casefold():
        told = f"{known.name} sends as {way.username}, unless {way.sender} is an address that this login may use"
        yield Problem(told, f"allow it there, or set {way.sender_setting} to {way.username}")
    if way.return_path and (known.sender_is_login or known.rewrites):
        told = f"{known.name} allows no sender of the envelope like bounce+…: [bounces] address is {way.return_path}"
        advice = "leave it empty, and give [bounces] the account itself: mail comes back there"
        elsewhere = f"set {way.sender_setting}: to such a one mail comes back without a mark"
        yield Problem(told, elsewhere if way.section == "fallback" else advice)
    if known.ports and known.ports.get(way.port) != way.tls:
        usual = " or ".join(f'port {port} with tls = "{tls}"' for port, tls in known.ports.items())
        yield Problem(f'{known.name} is not reached on port {way.port} with tls = "{way.tls}"', f"use {usual}")


def refusal(way: Way, outcome: Outcome) -> Problem:
    """Why there is no connection ready for mail, in words that say what to do."""
    where = f"{way.host}:{way.port}"
    said = outcome.reply.removeprefix(f"{where}: ")
    code = f"{outcome.code} " if outcome.code and str(outcome.code) not in said else ""
    if outcome.stage is not Stage.AUTH or not outcome.code:
        return Problem(said if outcome.code is None else f"{where} refused us: {code}{said}")
    if outcome.code < 500:
        return Problem(f"{where} put the login off: {code}{said}", "try again later")
    known = customs(way.host)
    wanted = f"{known.name} wants {known.password}" if known else _ANY_CODE
    return Problem(f"{where} refused the login: {code}{said}", f"check [{way.section}] username and password; {wanted}")


_ANY_CODE = (
    "many providers want a code made for mail programs: QQ and 163 the authorisation code (授权码),"
    " Gmail an app password"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a mail server says of itself: its extensions by lower-case name, and its TLS with the certificate's end."""

    features: Mapping[str, str]
    logins: tuple[str, ...]
    tls: str = ""
    certified_until: datetime | None = None


def meaning(offer: Offer) -> Iterator[str]:
    """What the offer means for our mail, a sentence each."""
    features = offer.features
    yield (
        "PIPELINING: a mail takes one round trip"
        if "pipelining" in features
        else "no PIPELINING: a mail takes four round trips"
    )
    if (size := _size(features)) is not None:
        yield f"SIZE: mails of up to {size / 1e6:.1f} MB" if size else "SIZE: it names no limit"
    yield (
        "DSN: it is asked to report in a form that names the delivery"
        if "dsn" in features
        else "no DSN: what comes back is known by its Message-ID, or by [bounces] address"
    )
    if "smtputf8" in features:
        yield "SMTPUTF8: addresses in all scripts can be mailed"
    else:
        yield "no SMTPUTF8: an address with other letters than a-z before its @ cannot be mailed"
    yield f"logins: {' '.join(offer.logins)}" if offer.logins else "no login is offered"


def doubts(offer: Offer, now: datetime, foreign_addresses: int = 0) -> Iterator[Problem]:
    """What is doubtful in the offer; `foreign_addresses` are the subscribers who need SMTPUTF8."""
    size = _size(offer.features)
    if size and size < LARGEST_MAIL:
        yield Problem(f"it takes no mail over {size} octets, and ours may be larger", "set attach_calendar = false")
    if foreign_addresses and "smtputf8" not in offer.features:
        told = f"{foreign_addresses} subscribers have addresses that it cannot carry: it offers no SMTPUTF8"
        yield Problem(told, "ask them for another address, or take another provider")
    if offer.tls in _OLD_TLS:
        yield Problem(f"it speaks {offer.tls}, which is broken", "have the server updated")
    if offer.certified_until and offer.certified_until - now < ENDS_SOON:
        told = f"its certificate ends on {offer.certified_until:%Y-%m-%d}, and no mail leaves after that"
        yield Problem(told, "have it renewed")


def _size(features: Mapping[str, str]) -> int | None:
    if "size" not in features:
        return None
    text = features["size"]
    return int(text) if re.fullmatch(r"\d{1,12}", text) else 0
