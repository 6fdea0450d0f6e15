"""What the domain of a sender publishes in the DNS → whether other servers will believe mail in its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from notifier.advice import Customs

_LOOKING_UP = re.compile(r"(?:[+?~-]?(?:include|exists):|[+?~-]?(?:a|mx|ptr)(?:[:/]|$)|redirect=)", re.IGNORECASE)
_MOST_LOOKUPS = 10  # RFC 7208 section 4.6.4

Answer = tuple[str, ...] | None  # the records, none if there are none, and None if no resolver answered


class Standing(StrEnum):
    """How it stands with one kind of record."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of record: how it stands, what is there in words, and what to publish."""

    kind: str
    standing: Standing
    words: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What resolvers say of a domain: DMARC by the names where it may stand, DKIM by the names of its keys."""

    mail_hosts: Answer
    texts: Answer
    policies: Mapping[str, Answer] = field(default_factory=dict)
    keys: Mapping[str, Answer] = field(default_factory=dict)


def policy_places(domain: str) -> tuple[str, ...]:
    """Where the domain's DMARC policy may stand, itself before its parents; a top-level domain has none."""
    labels = domain.split(".")
    return tuple(f"_dmarc.{'.'.join(labels[n:])}" for n in range(max(len(labels) - 1, 1)))[:5]


def judge(
    domain: str,
    published: Published,
    customs: Customs | None,
    keys: Mapping[str, str],
    return_domain: str,
    relay: str,
) -> tuple[Finding, ...]:
    """Every finding about a domain whose mail a server named `relay` carries, and which `keys` sign (place → record).

    `return_domain` is the one in the sender of the envelope.
    """
    is_providers = customs is not None and domain in customs.domains
    spf = _spf(domain, published, customs, is_providers, relay)
    dkim = tuple(_keys(published, keys, is_providers, customs))
    return (
        _mail_hosts(published),
        spf,
        *dkim,
        _policy(domain, published, is_providers),
        _aligned(domain, return_domain, keys),
    )


def _unknown(kind: str) -> Finding:
    return Finding(kind, Standing.UNKNOWN, "not looked up: no resolver answered")


def _mail_hosts(published: Published) -> Finding:
    hosts = published.mail_hosts
    if hosts is None:
        return _unknown("MX")
    if hosts == (".",):
        return Finding("MX", Standing.WRONG, "the domain says that it takes no mail", "take another [mail] sender")
    if not hosts:
        words = "no server takes mail for it: answers and what comes back are lost"
        return Finding("MX", Standing.MISSING, words, "publish an MX record, or take another [mail] sender")
    return Finding("MX", Standing.GOOD, ", ".join(hosts))


def _spf(domain: str, published: Published, customs: Customs | None, is_providers: bool, relay: str) -> Finding:
    if published.texts is None:
        return _unknown("SPF")
    records = [text for text in published.texts if re.match(r"v=spf1( |$)", text, re.IGNORECASE)]
    include = f"include:{customs.spf}" if customs else _senders_of(relay)
    if not records:
        if is_providers:
            return Finding("SPF", Standing.UNKNOWN, "none; the domain is the provider's own")
        return Finding(
            "SPF",
            Standing.MISSING,
            f"{domain} does not say who may send for it",
            f'publish TXT at {domain}: "v=spf1 {include} ~all"',
        )
    if len(records) > 1:
        return Finding("SPF", Standing.WRONG, f"{len(records)} records, of which none counts (RFC 7208)", "keep one")
    (record,) = records
    terms = record.split()[1:]
    if sum(bool(_LOOKING_UP.match(term)) for term in terms) > _MOST_LOOKUPS:
        return Finding("SPF", Standing.WRONG, f"{record}: over ten look-ups, so that it fails", "shorten it")
    if any(term.lower() in ("all", "+all") for term in terms):
        return Finding("SPF", Standing.WRONG, f"{record}: anyone may send for it", 'end it with "~all"')
    names_others = any(term.lower().startswith(("include:", "redirect=")) for term in terms)
    if customs and not is_providers and f"include:{customs.spf}" not in record.lower():
        words = f"{record}: it does not name {customs.name}"
        standing = Standing.UNKNOWN if names_others else Standing.WRONG
        return Finding("SPF", standing, words, f"add include:{customs.spf}")
    return Finding("SPF", Standing.GOOD, record)


def _senders_of(relay: str) -> str:
    """The term of a record that names a mail server without known customs; it may well send by others."""
    try:
        address = ip_address(relay)
    except ValueError:
        return "ip4:<this machine's address>" if relay == "localhost" else f"a:{relay}"
    return "ip4:<this machine's address>" if address.is_loopback else f"ip{address.version}:{address}"


def _keys(
    published: Published, keys: Mapping[str, str], is_providers: bool, customs: Customs | None
) -> Iterator[Finding]:
    if not keys:
        who = customs.name if customs else "the mail server"
        yield Finding("DKIM", Standing.UNKNOWN, f"[dkim] is not set; whether {who} signs cannot be seen from here")
    for place, record in keys.items():
        found = published.keys.get(place)
        advice = f'publish TXT at {place}: "{record}"'
        if found is None:
            yield Finding("DKIM", Standing.UNKNOWN, f"{place} was not looked up: no resolver answered", advice)
        elif not any("p=" in text for text in found):
            yield Finding("DKIM", Standing.MISSING, f"there is no key at {place}", advice)
        elif _public(record) not in map(_public, found):
            yield Finding("DKIM", Standing.WRONG, f"the key at {place} is another one than [dkim] signs with", advice)
        else:
            yield Finding("DKIM", Standing.GOOD, f"{place} has the key that [dkim] signs with")


def _public(record: str) -> str:
    found = re.search(r"(?:^|;)\s*p=([^;]*)", record)
    return re.sub(r"\s", "", found[1]) if found else ""


def _policy(domain: str, published: Published, is_providers: bool) -> Finding:
    answers = [published.policies.get(place) for place in policy_places(domain)]
    for place, texts in zip(policy_places(domain), answers, strict=True):
        records = [text for text in texts or () if re.match(r"v=DMARC1\s*(;|$)", text)]
        if len(records) > 1:
            return Finding(
                "DMARC", Standing.WRONG, f"{len(records)} records at {place}, of which none counts", "keep one"
            )
        if records:
            asked = re.search(r";\s*p=\s*(none|quarantine|reject)\s*(;|$)", records[0], re.IGNORECASE)
            if asked is None:
                return Finding("DMARC", Standing.WRONG, f"{records[0]}: it names no policy", "write p=none in it")
            return Finding("DMARC", Standing.GOOD, f"{records[0]} (at {place}): {_POLICIES[asked[1].lower()]}")
    if None in answers:
        return _unknown("DMARC")
    if is_providers:
        return Finding("DMARC", Standing.UNKNOWN, "none; the domain is the provider's own")
    advice = f'publish TXT at _dmarc.{domain}: "v=DMARC1; p=none"'
    return Finding("DMARC", Standing.MISSING, "none, and the large providers want one of whoever mails many", advice)


_POLICIES = {
    "none": "what is not aligned is taken all the same",
    "quarantine": "what is not aligned is filed as spam",
    "reject": "what is not aligned is refused",
}


def _aligned(domain: str, return_domain: str, keys: Mapping[str, str]) -> Finding:
    """By DMARC's relaxed rule, as far as one can tell without a list of where domains are sold."""
    signed_by = [place.partition("._domainkey.")[2] for place in keys]
    if any(_are_kin(domain, signer) for signer in signed_by):
        return Finding(
            "alignment", Standing.GOOD, f"signatures are of {', '.join(signed_by)}, like the sender {domain}"
        )
    if _are_kin(domain, return_domain):
        words = f"the envelope's sender is of {return_domain}, like the sender {domain}: SPF can prove it"
        return Finding("alignment", Standing.GOOD, words)
    words = f"the envelope's sender is of {return_domain} and the sender of {domain}: SPF proves nothing for DMARC"
    return Finding("alignment", Standing.WRONG, words, "have [dkim] or the mail server sign as the sender's domain")


def _are_kin(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
