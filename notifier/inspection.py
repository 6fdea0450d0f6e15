"""The mail server, the mailbox and the sender's domain, asked what they offer before any mail is sent; nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier import advice, domains, inquiries, relay, wiring
from notifier.config import Config
from notifier.domains import Finding, Published, Standing
from notifier.errors import MailboxError, NotifierError, Problem
from notifier.relay import Report
from notifier.replies import Answer
from notifier.resolver import Resolver
from notifier.subscribers import State

# Domains that are in no DNS but one's own.
_HERE = ("localhost", "local", "localdomain", "internal", "lan", "home", "test", "invalid", "example")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found: of each mail server by its section of the settings, and of the sender's domain.

    `problems` keep mail from leaving or from arriving; `doubts` may. `has_mailbox` where returned mail can be read.
    """

    reports: Mapping[str, Report]
    domain: str
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()
    meanings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_mailbox: bool = False

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "servers": {section: _report_as_json(report) for section, report in self.reports.items()},
            "mailbox": self.has_mailbox,
            "domain": {
                "name": self.domain,
                "findings": [
                    {"kind": f.kind, "standing": str(f.standing), "said": f.words, "advice": f.advice}
                    for f in self.findings
                ],
            },
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
    reports, findings, mailbox = await asyncio.gather(
        asyncio.gather(*map(relay.check, settings)), _findings(config, resolver), _look_into_mailbox(config, now)
    )
    by_section = dict(zip(ways, reports, strict=True))
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
    doubts += [
        Problem(f"{f.kind}: {f.words}", f.advice) for f in findings if f.standing in (Standing.MISSING, Standing.WRONG)
    ]
    with suppress(NotifierError):  # without a talk list nothing is due; `check` says so
        doubts += await inquiries.rate_warnings(config, now)
    meanings = {
        name: tuple(advice.meaning(r.offer)) for name, r in by_section.items() if r.outcome.answer is Answer.ACCEPTED
    }
    return Inspection(
        by_section,
        _sender(config)[1],
        findings,
        tuple(problems),
        tuple(doubts),
        meanings,
        config.bounces.is_read and not mailbox,
    )


def _sender(config: Config) -> tuple[str, str]:
    """The sender's address, and its domain."""
    address = wiring.sender_address(config)
    return address, address.rpartition("@")[2].lower()


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
    everyone = await inquiries.everyone(config)
    return sum(one.state is State.CONFIRMED and not one.address.isascii() for one in everyone)


async def _findings(config: Config, resolver: Resolver) -> tuple[Finding, ...]:
    _, domain = _sender(config)
    keys = {signer.place: signer.record for signer in wiring.signers(config)}
    if "." not in domain or domain.rpartition(".")[2] in _HERE:
        return (Finding("DNS", Standing.UNKNOWN, f"not looked up: {domain} is no name of the public net"),)
    names = dict.fromkeys((domain, *domains.policy_places(domain), *keys))
    hosts, *answers = await asyncio.gather(resolver.mail_hosts(domain), *(resolver.texts(name) for name in names))
    texts = dict(zip(names, answers, strict=True))
    published = Published(hosts, texts[domain], texts, texts)
    return_domain = config.bounces.address.rpartition("@")[2].lower() or domain
    return domains.judge(domain, published, advice.customs(config.smtp.host), keys, return_domain, config.smtp.host)


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
