"""What the domain of a sender publishes in the DNS → whether other servers will believe mail in its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network

from notifier import senders
from notifier.advice import Customs
from notifier.senders import Address, Answer, Ruling, Verdict

# What no server of the public net sees of this one.
_INSIDE = tuple(
    map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"))
)


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
class Outlet:
    """An address from which mail goes out, as the servers that get it see it.

    `names` are those that it has, and `confirmed` those of them that lead back to it; `ruling` is SPF's.
    """

    address: Address
    names: Answer
    confirmed: tuple[str, ...]
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class Published:
    """What resolvers say of a domain: DMARC by the names where it may stand, DKIM by the names of its keys.

    `texts` are those of the envelope's sender, and `walk` the ruling on an address that they do not name, as far as
    they were followed.
    """

    mail_hosts: Answer
    texts: Answer
    policies: Mapping[str, Answer] = field(default_factory=dict)
    keys: Mapping[str, Answer] = field(default_factory=dict)
    walk: Ruling | None = None
    outlets: tuple[Outlet, ...] = ()


def policy_places(domain: str) -> tuple[str, ...]:
    """Where the domain's DMARC policy may stand, itself before its parents; a top-level domain has none."""
    labels = domain.split(".")
    return tuple(f"_dmarc.{'.'.join(labels[n:])}" for n in range(max(len(labels) - 1, 1)))[:5]


def is_inside(host: str) -> bool:
    """Whether the name or address is one of this machine or its own network, which no other server sees."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host
    return address.is_loopback or address.is_link_local or any(address in network for network in _INSIDE)


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
    is_own = is_inside(relay) or _is_own(relay, domain, published.mail_hosts)
    return (
        _mail_hosts(published),
        _spf(return_domain, published, customs, is_providers, relay, is_own),
        *(_reverse(outlet) for outlet in published.outlets if is_own),
        *_keys(published, keys, is_providers, customs),
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


def _is_own(relay: str, domain: str, mail_hosts: Answer) -> bool:
    """Whether the mail server is the domain's own, so that it sends by the address at which it is reached."""
    parent = relay.partition(".")[2]
    return relay in (mail_hosts or ()) or ("." in parent and are_kin(parent, domain)) or _is_address(relay)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _spf(
    domain: str, published: Published, customs: Customs | None, is_providers: bool, relay: str, is_own: bool
) -> Finding:
    if published.texts is None:
        return _unknown("SPF")
    records = senders.records(published.texts)
    include = f"include:{customs.spf}" if customs else _senders_of(relay, published.outlets)
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
    if any(term.lower() in ("all", "+all") for term in record.split()):
        return Finding("SPF", Standing.WRONG, f"{record}: anyone may send for it", 'end it with "~all"')
    walk = published.walk or Ruling(Verdict.UNKNOWN, "")
    if walk.verdict is Verdict.BROKEN:
        return Finding("SPF", Standing.WRONG, f"{record}: it fails whoever sends, {walk.because}", "mend or shorten it")
    if (
        customs
        and not is_providers
        and not {customs.spf, f"include:{customs.spf}"} & {*walk.reached, *record.lower().split()}
    ):
        standing = Standing.UNKNOWN if walk.verdict is Verdict.UNKNOWN else Standing.WRONG
        return Finding("SPF", standing, f"{record}: it does not name {customs.name}", f"add {include}")
    rulings = {outlet.address: outlet.ruling for outlet in published.outlets}
    barred = {address: found for address, found in rulings.items() if found.verdict in _BARRED}
    if barred:
        told = "; ".join(f"{address} {_BARRED[found.verdict]} ({found.because})" for address, found in barred.items())
        standing = Standing.WRONG if is_own else Standing.UNKNOWN
        doubt = f", unless {relay} sends by another address"
        return Finding("SPF", standing, f"{record}: {told}{doubt}", f"add {_networks(barred)}")
    if allowed := [f"{a} may send ({r.because})" for a, r in rulings.items() if r.verdict is Verdict.PASS]:
        return Finding("SPF", Standing.GOOD, f"{record}: {'; '.join(allowed)}")
    return Finding("SPF", Standing.GOOD, record)


_BARRED = {
    Verdict.FAIL: "may not send",
    Verdict.SOFTFAIL: "had better not send",
    Verdict.NEUTRAL: "is neither allowed nor forbidden to send",
}


def _networks(addresses: Iterable[Address]) -> str:
    return " ".join(f"ip{address.version}:{address}" for address in addresses)


def _reverse(outlet: Outlet) -> Finding:
    """Large providers refuse, or file as spam, what comes from an address without a name that leads back to it."""
    kind = "reverse name"
    if outlet.names is None:
        return _unknown(kind)
    if outlet.confirmed:
        return Finding(
            kind, Standing.GOOD, f"{outlet.address} is {', '.join(outlet.confirmed)}, and the other way round"
        )
    advice = "whoever gives you the address can set its PTR record to the name that the server greets with"
    if outlet.names:
        names = ", ".join(outlet.names)
        return Finding(
            kind, Standing.WRONG, f"{outlet.address} is called {names}, which is not at that address", advice
        )
    return Finding(kind, Standing.MISSING, f"{outlet.address} has none, so that large providers doubt its mail", advice)


def _senders_of(relay: str, outlets: Sequence[Outlet]) -> str:
    """The terms of a record that name a mail server without known customs; it may well send by others."""
    if is_inside(relay):
        return _networks(outlet.address for outlet in outlets) or "ip4:<this machine's address>"
    return _networks((ip_address(relay),)) if _is_address(relay) else f"a:{relay}"


def _keys(
    published: Published, keys: Mapping[str, str], is_providers: bool, customs: Customs | None
) -> Iterator[Finding]:
    if not keys:
        who = customs.name if customs else "the mail server"
        yield Finding(
            "DKIM", Standing.UNKNOWN, f"[dkim] has no key for it; whether {who} signs cannot be seen from here"
        )
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
    if any(are_kin(domain, signer) for signer in signed_by):
        return Finding(
            "alignment", Standing.GOOD, f"signatures are of {', '.join(signed_by)}, like the sender {domain}"
        )
    if are_kin(domain, return_domain):
        words = f"the envelope's sender is of {return_domain}, like the sender {domain}: SPF can prove it"
        return Finding("alignment", Standing.GOOD, words)
    words = f"the envelope's sender is of {return_domain} and the sender of {domain}: SPF proves nothing for DMARC"
    return Finding("alignment", Standing.WRONG, words, "have [dkim] or the mail server sign as the sender's domain")


def are_kin(one: str, other: str) -> bool:
    """Whether one of the domains is the other, or below it: by DMARC's relaxed rule the one may speak for the other."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
