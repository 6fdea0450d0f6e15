"""The SPF records of a domain → whether mail from an address may come in its name (RFC 7208), as a verifier finds out.

Nothing is looked up here: questions for the DNS come out, and what it says goes in. What hangs on the single mail
(macros, the reverse name of the peer) is not claimed.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeVar

MOST_LOOKUPS = 10  # RFC 7208 section 4.6.4, also for the next two
_MOST_VOIDS = 2
_MOST_HOSTS = 10

Address = IPv4Address | IPv6Address
Question = tuple[str, str]  # the kind of record, and the name
Answer = tuple[str, ...] | None  # the records, none if there are none, and None if no resolver answered
_T = TypeVar("_T")
Asking = Generator[Question, Answer, _T]

_RECORD = re.compile(r"v=spf1( |$)", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9._-]*)=(.*)", re.IGNORECASE)
_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::(.+?))?"
    r"(?:/(0|[1-9]\d{0,2}))?(?://(0|[1-9]\d{0,2}))?",
    re.IGNORECASE,
)
# RFC 7208 section 7.1: it ends in a label that is no number, or holds a macro.
_NAME = re.compile(r".+\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?|.*%.*", re.IGNORECASE)


class Verdict(StrEnum):
    """What a verifier makes of a mail (RFC 7208 section 2.6), and UNKNOWN where that cannot be told."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    BROKEN = "permerror"
    UNKNOWN = "unknown"


_QUALIFIERS = {"": Verdict.PASS, "+": Verdict.PASS, "-": Verdict.FAIL, "~": Verdict.SOFTFAIL, "?": Verdict.NEUTRAL}


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, the term of a record or the fault that led to it, and the domains whose records were read for it."""

    verdict: Verdict
    because: str
    reached: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism of a record; `argument` is a name or a network, "" where the domain itself is meant."""

    text: str
    verdict: Verdict
    kind: str
    argument: str
    prefixes: tuple[int, int]  # of IPv4 and IPv6 networks


def records(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a domain's TXT records that are SPF's."""
    return tuple(text for text in texts if _RECORD.match(text))


def parse(record: str) -> tuple[tuple[Term, ...], str]:
    """The mechanisms of a record, and where it redirects to or "". Raises ValueError with the term that is none."""
    if not (record.isascii() and record.isprintable()):
        raise ValueError(ascii(record))
    terms: list[Term] = []
    named: dict[str, str] = {}
    for text in filter(None, record.split(" ")[1:]):
        if modifier := _MODIFIER.fullmatch(text):
            kind = modifier[1].lower()
            if kind in named:
                raise ValueError(f"a second {kind}=")
            if kind in ("redirect", "exp"):
                named[kind] = _name(modifier[2], text)
        else:
            terms.append(_term(text))
    return tuple(terms), named.get("redirect", "")


def _term(text: str) -> Term:
    found = _MECHANISM.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, kind, argument, short, long = found.groups(default="")
    kind, prefixes = kind.lower(), (int(short or 32), int(long or 128))
    if kind in ("ip4", "ip6"):
        network = f"{argument}/{short}".rstrip("/")
        if "/" in argument or long or not _is_network(network, int(kind[2])):
            raise ValueError(text)
        argument = network
    elif prefixes[0] > 32 or prefixes[1] > 128 or ((short or long) and kind not in ("a", "mx")):
        raise ValueError(text)
    elif argument or kind in ("include", "exists"):
        argument = _name(argument, text)
    if kind == "all" and argument:
        raise ValueError(text)
    return Term(text, _QUALIFIERS[sign], kind, argument, prefixes)


def _is_network(text: str, version: int) -> bool:
    try:
        return ip_network(text, strict=False).version == version
    except ValueError:
        return False


def _name(name: str, text: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(text)
    return name.rstrip(".").lower()


class _Stopped(Exception):
    """The whole check ends here with this ruling."""

    def __init__(self, verdict: Verdict, because: str) -> None:
        super().__init__(because)
        self.ruling = Ruling(verdict, because)


class _Untold(Exception):
    """Whether the term matches hangs on the single mail."""


def ruling(domain: str, address: Address | None) -> Asking[Ruling]:
    """What a verifier rules of mail from the address in the name of the domain.

    None is an address that nothing names, so that every record is read which this domain's leads to.
    """
    walk = _Walk(address)
    try:
        found = yield from walk.check(domain)
    except _Stopped as stopped:
        found = stopped.ruling
    return replace(found, reached=frozenset(walk.reached))


class _Walk:
    def __init__(self, address: Address | None) -> None:
        self._address = address
        self._lookups = self._voids = 0
        self.reached: set[str] = set()

    def check(self, domain: str) -> Asking[Ruling]:
        self.reached.add(domain)
        texts = yield "TXT", domain
        if texts is None:
            raise _Stopped(Verdict.UNKNOWN, f"no resolver answered for {domain}")
        found = records(texts)
        if len(found) != 1:
            verdict = Verdict.BROKEN if found else Verdict.NONE
            return Ruling(verdict, f"{domain} has {len(found) or 'no'} SPF record{'s' * (len(found) > 1)}")
        try:
            terms, redirect = parse(found[0])
        except ValueError as error:
            raise _Stopped(Verdict.BROKEN, f"{domain} has what is no term of SPF: {error}") from error
        return (yield from self._follow(domain, terms, redirect))

    def _follow(self, domain: str, terms: tuple[Term, ...], redirect: str) -> Asking[Ruling]:
        untold = ""
        for term in terms:
            try:
                is_match = yield from self._matches(term, domain)
            except _Untold:
                if term.verdict is not Verdict.PASS:
                    return Ruling(Verdict.UNKNOWN, term.text)
                untold = untold or term.text  # what comes may let the address pass all the same
                continue
            if is_match:
                return _unless(untold, Ruling(term.verdict, term.text))
        if not redirect:
            return _unless(untold, Ruling(Verdict.NEUTRAL, "no term of it"))
        if "%" in redirect:
            return Ruling(Verdict.UNKNOWN, f"redirect={redirect}")
        self._count(f"redirect={redirect}")
        found = yield from self.check(redirect)
        if found.verdict is Verdict.NONE:
            raise _Stopped(Verdict.BROKEN, f"it redirects to nothing: {found.because}")
        return _unless(untold, found)

    def _matches(self, term: Term, domain: str) -> Asking[bool]:
        match term.kind:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._address is not None and self._address in ip_network(term.argument, strict=False)
        self._count(term.text)
        name = term.argument or domain
        if "%" in name or (term.kind in ("exists", "ptr") and self._address is not None):
            raise _Untold
        if term.kind == "include":
            return (yield from self._is_included(name))
        if self._address is None or term.kind in ("exists", "ptr"):
            return False
        hosts = (yield from self._hosts(name)) if term.kind == "mx" else (name,)
        for host in hosts:
            if (yield from self._is_at(host, term)):
                return True
        return False

    def _is_included(self, domain: str) -> Asking[bool]:
        found = yield from self.check(domain)
        if found.verdict in (Verdict.NONE, Verdict.BROKEN):
            raise _Stopped(Verdict.BROKEN, f"it includes what is no good: {found.because}")
        if found.verdict is Verdict.UNKNOWN:
            raise _Untold
        return found.verdict is Verdict.PASS

    def _hosts(self, domain: str) -> Asking[tuple[str, ...]]:
        found = yield from self._ask("MX", domain)
        if len(found) > _MOST_HOSTS:
            raise _Stopped(Verdict.BROKEN, f"mx of {domain} are over {_MOST_HOSTS}")
        return tuple(host for host in found if host != ".")

    def _is_at(self, host: str, term: Term) -> Asking[bool]:
        assert self._address is not None
        is_short = self._address.version == 4
        found = yield from self._ask("A" if is_short else "AAAA", host)
        prefix = term.prefixes[0 if is_short else 1]
        return any(self._address in ip_network(f"{one}/{prefix}", strict=False) for one in found)

    def _ask(self, kind: str, name: str) -> Asking[tuple[str, ...]]:
        answer = yield kind, name
        if answer is None:
            raise _Stopped(Verdict.UNKNOWN, f"no resolver answered for {name}")
        self._voids += not answer
        if self._voids > _MOST_VOIDS:
            raise _Stopped(Verdict.BROKEN, f"over {_MOST_VOIDS} names in it are not there, the last {name}")
        return answer

    def _count(self, what: str) -> None:
        self._lookups += 1
        if self._lookups > MOST_LOOKUPS:
            raise _Stopped(Verdict.BROKEN, f"over ten look-ups, at {what}")


def _unless(untold: str, found: Ruling) -> Ruling:
    """The ruling, unless the address may have passed before by a term that could not be told."""
    return Ruling(Verdict.UNKNOWN, untold) if untold and found.verdict is not Verdict.PASS else found
