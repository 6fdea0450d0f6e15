"""Who may send, as RFC 7208 has it; its own suite of tests (rfc7208-tests.yml) was passed but for what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from notifier import senders
from notifier.senders import Answer, Question, Ruling

Zone = Mapping[Question, Answer]
DOMAIN = "seminar.example.org"
OURS, SIXTH, FOREIGN = "192.0.2.7", "2001:db8::7", "198.51.100.1"
ELSEWHERE: Zone = {
    ("TXT", "_spf.example.net"): ("v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all",),
    ("TXT", "two.example.net"): ("v=spf1 include:_spf.example.net ~all",),
    ("TXT", "round.example.net"): ("v=spf1 include:round.example.net -all",),
    ("TXT", "macros.example.net"): ("v=spf1 exists:%{i}.example.net -all",),
    ("TXT", "twice.example.net"): ("v=spf1 -all", "v=spf1 ~all"),
    ("TXT", "silent.example.net"): None,
    ("A", "mx.example.org"): (OURS,),
    ("AAAA", "mx.example.org"): (SIXTH,),
    ("A", "silent.example.net"): None,
    ("MX", DOMAIN): ("mx.example.org",),
    ("MX", "many.example.net"): tuple(f"mx{n}.example.net" for n in range(11)),
}


def settled(zone: Zone, domain: str = DOMAIN, address: str | None = OURS) -> Ruling:
    """The ruling where the DNS holds this; every other name is not there."""
    asking = senders.ruling(domain, None if address is None else ip_address(address))
    try:
        question = next(asking)
        while True:
            question = asking.send(zone.get(question, ()))
    except StopIteration as end:
        ruling: Ruling = end.value
        return ruling


def ruled(record: str, address: str | None = OURS) -> tuple[str, str]:
    found = settled({**ELSEWHERE, ("TXT", DOMAIN): (record,)}, address=address)
    return str(found.verdict), found.because


@pytest.mark.parametrize(
    ("record", "address", "verdict", "because"),
    [
        ("v=spf1 ip4:192.0.2.7 -all", OURS, "pass", "ip4:192.0.2.7"),
        ("v=spf1 ip4:192.0.2.7 -all", FOREIGN, "fail", "-all"),
        ("v=spf1 ip4:192.0.2.7 -all", SIXTH, "fail", "-all"),
        ("v=spf1 ip6:2001:db8::/32 ~all", SIXTH, "pass", "ip6:2001:db8::/32"),
        ("v=spf1 ~all", OURS, "softfail", "~all"),
        ("v=spf1 ?ip4:192.0.2.0/24 -all", OURS, "neutral", "?ip4:192.0.2.0/24"),
        ("v=spf1", OURS, "neutral", "no term of it"),
        ("v=spf1 mx -all", OURS, "pass", "mx"),
        ("v=spf1 mx -all", SIXTH, "pass", "mx"),
        ("v=spf1 a:mx.example.org/24 -all", "192.0.2.250", "pass", "a:mx.example.org/24"),
        ("v=spf1 a:mx.example.org/24 -all", SIXTH, "pass", "a:mx.example.org/24"),
        ("v=spf1 a:mx.example.org//48 -all", "2001:db8::ffff", "pass", "a:mx.example.org//48"),
        ("v=spf1 include:_spf.example.net -all", OURS, "pass", "include:_spf.example.net"),
        ("v=spf1 include:_spf.example.net -all", FOREIGN, "fail", "-all"),
        ("V=SPF1 INCLUDE:TWO.EXAMPLE.NET -ALL", OURS, "pass", "INCLUDE:TWO.EXAMPLE.NET"),
        ("v=spf1 redirect=_spf.example.net", FOREIGN, "fail", "-all"),
        ("v=spf1 redirect=_spf.example.net ?all", FOREIGN, "neutral", "?all"),
        ("v=spf1 unknown=anything exp=why.example.net -all", OURS, "fail", "-all"),
    ],
)
def test_the_first_term_that_matches_decides(record: str, address: str, verdict: str, because: str) -> None:
    assert ruled(record, address) == (verdict, because)


@pytest.mark.parametrize(
    ("record", "because"),
    [
        ("v=spf1 " + "a:mx.example.net " * 11 + "-all", "over 2 names in it are not there, the last mx.example.net"),
        ("v=spf1 " + "mx " * 11 + "ip4:192.0.2.7 -all", "over ten look-ups, at mx"),
        ("v=spf1 include:round.example.net -all", "over ten look-ups, at include:round.example.net"),
        ("v=spf1 include:none.example.net -all", "it includes what is no good: none.example.net has no SPF record"),
        ("v=spf1 include:twice.example.net", "it includes what is no good: twice.example.net has 2 SPF records"),
        ("v=spf1 redirect=none.example.net", "it redirects to nothing: none.example.net has no SPF record"),
        ("v=spf1 mx:many.example.net -all", "mx of many.example.net are over 10"),
        ("v=spf1 redirect=a.example redirect=b.example", f"{DOMAIN} has what is no term of SPF: a second redirect="),
        *(
            (f"v=spf1 {term} -all", f"{DOMAIN} has what is no term of SPF: {term}")
            for term in (
                "ip4:192.0.2.300", "ip4:192.0.2.7/33", "ip4:192.0.2.7/08", "ip4:2001:db8::1", "ip4", "ip6:192.0.2.7",
                "include", "include:org", "include:a.example/24", "a:192.0.2.7", "a/33", "mx//129", "all:a.example",
                "-all.", "ipv4:192.0.2.7", "exists", "exp=",
            )
        ),
    ],
)  # fmt: skip
def test_what_verifiers_give_up_at_is_named(record: str, because: str) -> None:
    address = FOREIGN if "mx -all" not in record else OURS
    assert ruled(record, address) == ("permerror", because)


@pytest.mark.parametrize(
    ("record", "address", "verdict"),
    [
        ("v=spf1 exists:%{i}._spf.example.net -all", OURS, "unknown"),
        ("v=spf1 ptr -all", OURS, "unknown"),
        ("v=spf1 include:macros.example.net -all", OURS, "unknown"),
        ("v=spf1 redirect=%{d}.example.net", OURS, "unknown"),
        ("v=spf1 -ptr ip4:192.0.2.7 -all", OURS, "unknown"),
        ("v=spf1 ptr ip4:192.0.2.7 -all", OURS, "pass"),  # it passes, by the one or the other
        ("v=spf1 ptr redirect=_spf.example.net", FOREIGN, "unknown"),
        ("v=spf1 ptr redirect=_spf.example.net", OURS, "pass"),
        ("v=spf1 include:silent.example.net -all", OURS, "unknown"),
        ("v=spf1 a:silent.example.net -all", OURS, "unknown"),
    ],
)
def test_what_hangs_on_the_single_mail_or_got_no_answer_is_not_claimed(record: str, address: str, verdict: str) -> None:
    assert ruled(record, address)[0] == verdict


def test_without_an_address_every_record_is_read() -> None:
    record = "v=spf1 mx a:none.example.net exists:%{i}.example.net include:two.example.net ~all"
    found = settled({**ELSEWHERE, ("TXT", DOMAIN): (record,)}, address=None)
    assert found.reached == {DOMAIN, "two.example.net", "_spf.example.net"}


def test_a_domain_without_a_record_rules_nothing() -> None:
    assert settled({("TXT", DOMAIN): ("v=spf10 -all", "a site verification")}).verdict == "none"
