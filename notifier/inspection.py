"""The mail server, the mailbox and the sender's domain, asked what they offer before any mail is sent; nothing is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from notifier import advice, domains, relay, senders, wiring
from notifier.advice import Way
from notifier.config import Config
from notifier.domains import Finding, Outlet, Published, Standing
from notifier.errors import MailboxError, NotifierError, Problem
from notifier.inquiries import notices, people
from notifier.relay import Report
from notifier.replies import Answer
from notifier.resolver import Resolver
from notifier.senders import Address, Asking, Ruling
from notifier.subscribers import State

MOST_OUTLETS = 4  # addresses of one mail server that are looked at
# Domains that are in no DNS but one's own.
_HERE = ("localhost", "local", "localdomain", "internal", "lan", "home", "test", "invalid", "example")


@dataclass(frozen=True, slots=True)
class Domain:
    """The domain of a sender, and what it publishes, as far as it concerns the mail server that sends for it."""

    name: str
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.name,
            "findings": [
                {"kind": f.kind, "standing": str(f.standing), "said": f.words, "advice": f.advice}
                for f in self.findings
            ],
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found of each mail server, and of the domain that it sends for, by their section of the settings.

    `problems` keep mail from leaving or from arriving; `doubts` may. `has_mailbox` where returned mail can be read.
    """

    reports: Mapping[str, Report]
    domains: Mapping[str, Domain]
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    meanings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_mailbox: bool = False

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "servers": {section: _report_as_json(report) for section, report in self.reports.items()},
            "mailbox": self.has_mailbox,
            "domain": self.domains["smtp"].as_json(),
            "domains": {section: domain.as_json() for section, domain in self.domains.items()},
        }


async def inspected(config: Config, now: datetime, resolver: Resolver) -> Inspection:
    """What the settings' mail servers and the sender's domain say.

    Raises:
        ConfigError: a key cannot sign, or a file of authorities cannot be used.
        NotifierError: mail goes into a Maildir, and there is no server.
    """
    ways = wiring.ways(config)
    if not ways:
        raise NotifierError(Problem('[mail] transport is "maildir": no mail server is used', 'set it to "smtp"'))
    settings = [wiring.smtp_settings(getattr(config, name)) for name in ways]
    reports, found, mailbox = await asyncio.gather(
        asyncio.gather(*map(relay.check, settings)),
        asyncio.gather(*(_domain(config, way, resolver) for way in ways.values())),
        _look_into_mailbox(config, now),
    )
    by_section, by_sender = dict(zip(ways, reports, strict=True)), dict(zip(ways, found, strict=True))
    problems: list[Problem] = [*mailbox]
    doubts: list[Problem] = []
    foreign = await _foreign_addresses(config)
    for name, way in ways.items():
        report = by_section[name]
        problems += advice.broken_rules(way)
        if report.outcome.answer is Answer.ACCEPTED:
            doubts += advice.doubts(report.offer, now, foreign)
        else:
            problems.insert(0, advice.refusal(way, report.outcome))
    doubts += dict.fromkeys(
        Problem(f"{f.kind}: {f.words}", f.advice)
        for domain in found
        for f in domain.findings
        if f.standing in (Standing.MISSING, Standing.WRONG)
    )
    doubts += _unread(config, ways)
    with suppress(NotifierError):  # without a talk list nothing is due; `check` says so
        doubts += await notices.rate_warnings(config, now)
    meanings = {
        name: tuple(advice.meaning(r.offer)) for name, r in by_section.items() if r.outcome.answer is Answer.ACCEPTED
    }
    return Inspection(
        by_section,
        by_sender,
        tuple(problems),
        tuple(doubts),
        meanings,
        config.bounces.is_read and not mailbox,
    )


def _unread(config: Config, ways: Mapping[str, Way]) -> Iterator[Problem]:
    """What comes back to a sender whose mailbox is not the one that is read."""
    if config.bounces.is_read and "fallback" in ways and ways["fallback"].sender != ways["smtp"].sender:
        sender = ways["fallback"].sender
        told = f"what comes back of mail through [fallback] goes to {sender}, and [bounces] reads another mailbox"
        yield Problem(told, f"have {sender} pass its mail on to the mailbox of [bounces]")


async def _look_into_mailbox(config: Config, now: datetime) -> tuple[Problem, ...]:
    """Why the mailbox of returned mail cannot be read, where there is one; nothing in it is marked as read."""
    if (mailbox := wiring.mailbox(config)) is None:
        return ()
    try:
        await asyncio.to_thread(mailbox.fetch, (), now.date())
    except MailboxError as error:
        return error.problems
    finally:
        mailbox.close()
    return ()


async def _foreign_addresses(config: Config) -> int:
    everyone = await people.everyone(config)
    return sum(one.state is State.CONFIRMED and not one.address.isascii() for one in everyone)


async def _domain(config: Config, way: Way, resolver: Resolver) -> Domain:
    domain = way.sender.rpartition("@")[2].lower()
    signers = wiring.signers(config, "fallback" if way.section == "fallback" else "")
    keys = {signer.place: signer.record for signer in signers}
    if "." not in domain or domain.rpartition(".")[2] in _HERE:
        unknown = Finding("DNS", Standing.UNKNOWN, f"not looked up: {domain} is no name of the public net")
        return Domain(domain, (unknown,))
    return_domain = way.return_path.rpartition("@")[2].lower() or domain
    host = way.host.lower().rstrip(".")
    names = dict.fromkeys((domain, return_domain, *domains.policy_places(domain), *keys))
    hosts, walk, outlets, answers = await asyncio.gather(
        resolver.mail_hosts(domain),
        _settled(senders.ruling(return_domain, None), resolver),
        _outlets(host, return_domain, resolver),
        asyncio.gather(*(resolver.texts(name) for name in names)),
    )
    texts = dict(zip(names, answers, strict=True))
    published = Published(hosts, texts[return_domain], texts, texts, walk, outlets)
    return Domain(domain, domains.judge(domain, published, advice.customs(host), keys, return_domain, host))


async def _outlets(relay: str, domain: str, resolver: Resolver) -> tuple[Outlet, ...]:
    """The addresses by which this mail server may send: its own or, where it is in this network, this machine's."""
    if advice.customs(relay) is not None:
        return ()  # it is known to send by others
    if domains.is_inside(relay):
        found = own_addresses()
    elif (address := _address(relay)) is not None:
        found = (address,)
    else:
        answers = await asyncio.gather(*(resolver.records(kind, relay) for kind in ("A", "AAAA")))
        found = tuple(map(ip_address, (text for answer in answers for text in answer or ())))
    visible = [address for address in found if not domains.is_inside(str(address))][:MOST_OUTLETS]
    return tuple(await asyncio.gather(*(_outlet(address, domain, resolver) for address in visible)))


async def _outlet(address: Address, domain: str, resolver: Resolver) -> Outlet:
    ruling = await _settled(senders.ruling(domain, address), resolver)
    names = await resolver.records("PTR", str(address))
    kind = "A" if address.version == 4 else "AAAA"
    back = [(name, await resolver.records(kind, name)) for name in (names or ())[:MOST_OUTLETS]]
    confirmed = tuple(name for name, found in back if str(address) in (found or ()))
    return Outlet(address, names, confirmed, ruling)


def own_addresses() -> tuple[Address, ...]:
    """The addresses that this machine takes for a way out into the net; nothing is sent to find out."""
    found = []
    for family, far_away in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way_out:
            way_out.connect((far_away, 25))
            found.append(ip_address(way_out.getsockname()[0].partition("%")[0]))
    return tuple(found)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


async def _settled(asking: Asking[Ruling], resolver: Resolver) -> Ruling:
    """What the questions lead to, when the resolver answers them."""
    try:
        question = next(asking)
        while True:
            question = asking.send(await resolver.records(*question))
    except StopIteration as end:
        ruling: Ruling = end.value
        return ruling


def _report_as_json(report: Report) -> dict[str, Any]:
    offer, outcome = report.offer, report.outcome
    return {
        "ready": outcome.answer is Answer.ACCEPTED,
        "code": outcome.code,
        "said": outcome.reply,
        "tls": offer.tls,
        "certified_until": offer.certified_until.isoformat() if offer.certified_until else None,
        "features": dict(offer.features),
        "logins": list(offer.logins),
    }
