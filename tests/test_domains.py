from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from test_senders import settled

from notifier import advice, domains
from notifier.domains import Finding, Outlet, Published, Standing
from notifier.senders import Answer, Question

DOMAIN = "seminar.example.org"
NESTED = ("v=spf1 include:spf.mail.qq.com ~all",)
KEY = {"n1._domainkey.seminar.example.org": "v=DKIM1; k=rsa; p=ABC"}
WELL = Published(
    ("mx.example.org",),
    ("a site verification", "v=spf1 mx ~all"),
    {"_dmarc.seminar.example.org": (), "_dmarc.example.org": ("v=DMARC1; p=reject; rua=mailto:a@example.org",)},
    {"n1._domainkey.seminar.example.org": ("v=DKIM1; k=rsa; p=A BC",)},
)


def judged(
    published: Published = WELL,
    host: str = "mail.example.org",
    domain: str = DOMAIN,
    keys: Mapping[str, str] = KEY,
    return_domain: str = "",
) -> dict[str, Finding]:
    found = domains.judge(domain, published, advice.customs(host), keys, return_domain or domain, host)
    return {finding.kind: finding for finding in found}


def with_texts(*texts: str, outlets: tuple[Outlet, ...] = ()) -> Published:
    zone: dict[Question, Answer] = {
        ("TXT", DOMAIN): texts,
        ("TXT", "_spf.example.net"): None,
        ("TXT", "own.example.net"): NESTED,
    }
    zone["TXT", "spf.mail.qq.com"] = ("v=spf1 ip4:203.0.113.0/24 -all",)
    walk = settled(zone, address=None)
    return Published(("mx.example.org", "mx.hosted.net"), texts, WELL.policies, WELL.keys, walk, outlets)


def outlet(record: str, address: str = "192.0.2.7", names: Answer = (), confirmed: tuple[str, ...] = ()) -> Outlet:
    zone = {("TXT", DOMAIN): (record,), ("MX", DOMAIN): ("mx.example.org",), ("A", "mx.example.org"): ("192.0.2.7",)}
    return Outlet(ip_address(address), names, confirmed, settled(zone, address=address))


def with_policy(policies: Mapping[str, Answer]) -> Published:
    return Published(("mx.example.org",), ("v=spf1 mx ~all",), policies, WELL.keys)


def test_a_domain_that_publishes_everything_is_good() -> None:
    found = judged()
    assert {kind: str(finding.standing) for kind, finding in found.items()} == {
        "MX": "good",
        "SPF": "good",
        "DKIM": "good",
        "DMARC": "good",
        "alignment": "good",
    }
    assert found["DMARC"].words.endswith("(at _dmarc.example.org): what is not aligned is refused")


def test_a_domain_that_publishes_nothing_is_told_what_to_publish() -> None:
    found = judged(Published((), (), dict.fromkeys(domains.policy_places(DOMAIN), ()), dict.fromkeys(KEY, ())))
    assert {kind: finding.advice for kind, finding in found.items() if finding.standing is Standing.MISSING} == {
        "MX": "publish an MX record, or take another [mail] sender",
        "SPF": f'publish TXT at {DOMAIN}: "v=spf1 a:mail.example.org ~all"',
        "DKIM": f'publish TXT at n1._domainkey.{DOMAIN}: "v=DKIM1; k=rsa; p=ABC"',
        "DMARC": f'publish TXT at _dmarc.{DOMAIN}: "v=DMARC1; p=none"',
    }


def test_without_a_resolver_nothing_is_claimed() -> None:
    found = judged(Published(None, None, {}, {}))
    assert {str(finding.standing) for kind, finding in found.items() if kind != "alignment"} == {"unknown"}
    assert "no resolver answered" in found["SPF"].words


@pytest.mark.parametrize(
    ("texts", "host", "standing", "told"),
    [
        (("v=spf1 include:spf.mail.qq.com ~all",), "smtp.exmail.qq.com", Standing.GOOD, "spf.mail.qq.com"),
        (("v=spf1 mx ~all",), "smtp.exmail.qq.com", Standing.WRONG, "it does not name Exmail"),
        (("v=spf1 include:own.example.net ~all",), "smtp.exmail.qq.com", Standing.GOOD, "own.example.net"),
        (("v=spf1 include:_spf.example.net ~all",), "smtp.exmail.qq.com", Standing.UNKNOWN, "does not name Exmail"),
        (("v=spf1 mx ~all", "v=spf1 a ~all"), "mail.example.org", Standing.WRONG, "2 records, of which none counts"),
        (("v=spf1 mx +all",), "mail.example.org", Standing.WRONG, "anyone may send for it"),
        (("v=spf1 " + "a:a.example " * 11 + "-all",), "mail.example.org", Standing.WRONG, "over ten look-ups"),
        (("v=spf1 ipv4:192.0.2.7 ~all",), "mail.example.org", Standing.WRONG, "no term of SPF: ipv4:192.0.2.7"),
        (("v=spf10 mx ~all",), "mail.example.org", Standing.MISSING, "does not say who may send"),
    ],
)
def test_who_may_send_is_read_as_verifiers_do(texts: tuple[str, ...], host: str, standing: Standing, told: str) -> None:
    finding = judged(with_texts(*texts), host)["SPF"]
    assert finding.standing is standing
    assert told in finding.words


def test_a_machine_that_sends_by_itself_is_named_by_its_address() -> None:
    assert "ip4:192.0.2.7" in judged(with_texts(), "192.0.2.7")["SPF"].advice
    assert "ip6:2001:db8::1" in judged(with_texts(), "2001:db8::1")["SPF"].advice
    assert "127.0.0.1" not in judged(with_texts(), "127.0.0.1")["SPF"].advice


@pytest.mark.parametrize(
    ("host", "address", "standing", "told", "advised"),
    [
        ("mail.example.org", "192.0.2.7", Standing.GOOD, "192.0.2.7 may send (mx)", ""),
        ("localhost", "192.0.2.7", Standing.GOOD, "192.0.2.7 may send (mx)", ""),
        ("mail.example.org", "192.0.2.8", Standing.WRONG, "192.0.2.8 had better not send (~all)", "add ip4:192.0.2.8"),
        ("mx.hosted.net", "192.0.2.8", Standing.WRONG, "unless mx.hosted.net sends by another", "add ip4:192.0.2.8"),
        ("10.0.0.1", "2001:db8::8", Standing.WRONG, "2001:db8::8 had better not send", "add ip6:2001:db8::8"),
        # Somebody else's server, which may well send by other addresses than it is reached at.
        ("smtp.example.net", "192.0.2.8", Standing.UNKNOWN, "unless smtp.example.net sends by another", "add ip4"),
    ],
)
def test_whether_the_mail_server_s_addresses_may_send_is_told(
    host: str, address: str, standing: Standing, told: str, advised: str
) -> None:
    record = "v=spf1 mx ~all"
    finding = judged(with_texts(record, outlets=(outlet(record, address),)), host)["SPF"]
    assert finding.standing is standing
    assert (told in finding.words, advised in finding.advice) == (True, True)


@pytest.mark.parametrize(
    ("host", "names", "confirmed", "standing", "told"),
    [
        (
            "mail.example.org",
            ("a.example",),
            ("a.example",),
            Standing.GOOD,
            "192.0.2.7 is a.example, and the other way",
        ),
        (
            "localhost",
            ("a.example",),
            (),
            Standing.WRONG,
            "192.0.2.7 is called a.example, which is not at that address",
        ),
        ("192.0.2.7", (), (), Standing.MISSING, "192.0.2.7 has none"),
        ("mail.example.org", None, (), Standing.UNKNOWN, "no resolver answered"),
    ],
)
def test_an_own_server_s_address_should_have_a_name_that_leads_back_to_it(
    host: str, names: Answer, confirmed: tuple[str, ...], standing: Standing, told: str
) -> None:
    sends = outlet("v=spf1 mx ~all", names=names, confirmed=confirmed)
    finding = judged(with_texts("v=spf1 mx ~all", outlets=(sends,)), host)["reverse name"]
    assert finding.standing is standing
    assert told in finding.words


def test_the_reverse_name_of_somebody_else_s_server_is_theirs_to_care_for() -> None:
    found = judged(with_texts("v=spf1 mx ~all", outlets=(outlet("v=spf1 mx ~all"),)), "smtp.example.net")
    assert "reverse name" not in found


def test_what_others_cannot_see_is_inside() -> None:
    inside = ("localhost", "mailhost", "127.0.0.9", "10.1.2.3", "fd00::1", "fe80::1", "::1")
    outside = ("mail.example.org", "192.0.2.7", "2001:db8::1")
    assert [host for host in (*inside, *outside) if domains.is_inside(host)] == list(inside)


def test_nobody_is_told_to_publish_for_a_provider_s_own_domain() -> None:
    nothing = Published(("mx3.qq.com",), (), {"_dmarc.qq.com": ()})
    found = judged(nothing, "smtp.qq.com", "qq.com", {})
    assert [finding.advice for finding in found.values()] == [""] * 5


@pytest.mark.parametrize(
    ("policies", "standing", "told"),
    [
        ({"_dmarc.seminar.example.org": ("v=DMARC1; p=none",)}, Standing.GOOD, "taken all the same"),
        ({"_dmarc.seminar.example.org": ("v=DMARC1; p=none", "v=DMARC1;p=reject")}, Standing.WRONG, "2 records"),
        ({"_dmarc.seminar.example.org": ("v=DMARC1; rua=mailto:a@b",)}, Standing.WRONG, "names no policy"),
        ({"_dmarc.seminar.example.org": (), "_dmarc.example.org": None}, Standing.UNKNOWN, "no resolver"),
    ],
)
def test_a_policy_is_found_at_the_domain_or_above(
    policies: Mapping[str, Answer], standing: Standing, told: str
) -> None:
    finding = judged(with_policy(policies))["DMARC"]
    assert finding.standing is standing
    assert told in finding.words


def test_a_key_that_is_not_ours_is_seen() -> None:
    other = Published((), (), {}, {next(iter(KEY)): ("v=DKIM1; p=XYZ",)})
    assert judged(other)["DKIM"].standing is Standing.WRONG


@pytest.mark.parametrize(
    ("domain", "return_domain", "keys", "standing"),
    [
        ("example.org", "bounce.example.org", {}, Standing.GOOD),
        ("example.org", "example.net", {}, Standing.WRONG),
        ("example.org", "example.net", {"n1._domainkey.example.org": ""}, Standing.GOOD),
        ("example.org", "notexample.org", {}, Standing.WRONG),
        ("notexample.org", "example.org", {}, Standing.WRONG),
    ],
)
def test_alignment_is_told_in_words(
    domain: str, return_domain: str, keys: Mapping[str, str], standing: Standing
) -> None:
    finding = judged(domain=domain, return_domain=return_domain, keys=keys)["alignment"]
    assert finding.standing is standing
    assert domain in finding.words


def test_a_null_record_means_that_no_mail_is_taken() -> None:
    assert judged(Published((".",), ()))["MX"].standing is Standing.WRONG
