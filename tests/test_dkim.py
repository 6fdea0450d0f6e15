"""Signatures, judged by dkimpy, which shares nothing with what makes them but the RFCs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from samples import ADA, BOB, START, seminar, session

from notifier import files
from notifier.dkim import Signer, signed
from notifier.errors import ConfigError
from notifier.letters import Templates
from notifier.messages import Composer, Mailbox, Site
from notifier.notices import Kind, Notice

DOMAIN = "seminar.example.org"
SITE = Site(
    "https://seminar.example.org",
    DOMAIN,
    Mailbox("机器学习联合研讨会", f"reminder@{DOMAIN}"),
    seminar(),
    lambda purpose, one, at: f"https://seminar.example.org/{purpose}/{'a1b2c3d4' * 9}{one.id}",
    Mailbox("Organisers", "organisers@example.org"),
    mark_key="a key for tests",
)


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def signers() -> Iterator[tuple[Signer, Signer]]:
    return (
        Signer(DOMAIN, "n1", pem(rsa.generate_private_key(65537, 2048))),
        Signer(DOMAIN, "n2", pem(ed25519.Ed25519PrivateKey.generate())),
    )


def verified(message: bytes, *signers: Signer) -> list[bool]:
    """dkimpy's verdict on each signature, with these signers' records in the DNS."""
    records = {f"{signer.place}.".encode(): signer.record.encode() for signer in signers}

    def dns(name: bytes, timeout: int = 5) -> bytes | None:
        return records.get(name)

    def verdict(number: int) -> bool:
        try:
            return bool(dkim.DKIM(message).verify(number, dnsfunc=dns))
        except dkim.ValidationError:  # how it says that the body is another
            return False

    return [verdict(number) for number in range(message.count(b"DKIM-Signature:"))]


def composed(name: str, attach_calendar: bool = True) -> bytes:
    reader = replace(BOB, name=name, id=7)
    notice = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, START, START)
    composer = Composer(replace(SITE, attach_calendar=attach_calendar), Templates(files.shipped()))
    return composer.compose(notice, session(), reader, date=datetime(2021, 11, 26, tzinfo=UTC)).body


@pytest.mark.parametrize("name", ["Bob", "王伟", "", "A name that is long enough to be folded " * 5, "a.b\t=20 "])
@pytest.mark.parametrize("attach_calendar", [True, False])
def test_an_independent_judge_accepts_the_signatures_of_real_mail(
    signers: tuple[Signer, Signer], name: str, attach_calendar: bool
) -> None:
    message = signed(composed(name, attach_calendar), signers)
    assert verified(message, *signers) == [True, True]
    assert max(map(len, message.split(b"\r\n"))) <= 998


@given(
    body=st.lists(st.sampled_from([b"text", b"", b" ", b".", b"\t=20", b"From here"]), max_size=8).map(b"\r\n".join),
    subject=st.text("abc \t", min_size=1, max_size=30),
)
def test_every_shape_of_body_and_header_is_canonicalised_as_the_judge_does(
    signers: tuple[Signer, Signer], body: bytes, subject: str
) -> None:
    message = f"From: ada@{DOMAIN}\r\nSUBJECT: a{subject}\r\n b\r\nTo: b@example.org\r\n\r\n".encode() + body
    assert verified(signed(message, signers), *signers) == [True, True]


def test_a_signed_message_is_the_same_bytes_at_every_attempt(signers: tuple[Signer, Signer]) -> None:
    assert signed(composed("Ada"), signers) == signed(composed("Ada"), signers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"List-Unsubscribe: <https://seminar.", b"List-Unsubscribe: <https://evil."),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
        (b"Subject: ", b"Subject: Not "),
        (b"Bob <bob@example.org>", b"Eve <eve@example.org>"),
        (b"DKIM-Signature", b"From: Eve <eve@example.org>\r\nDKIM-Signature"),
        (b"DKIM-Signature", b"Subject: another\r\nDKIM-Signature"),
        (b"MIME-Version", b"From: Eve <eve@example.org>\r\nMIME-Version"),
        (b"Content-Type: multipart/mixed", b"Content-Type: multipart/alternative"),
        (b"329", b"666"),
    ],
)
def test_whatever_is_altered_or_added_on_the_way_breaks_them(
    signers: tuple[Signer, Signer], before: bytes, after: bytes
) -> None:
    message = signed(composed("Bob"), signers)
    assert before in message
    assert verified(message.replace(before, after, 1), *signers) == [False, False]


def test_what_relays_add_and_fold_leaves_them_whole(signers: tuple[Signer, Signer]) -> None:
    message = signed(composed("Bob"), signers)
    travelled = b"Received: from a\r\n by b; today\r\nX-Spam: no\r\n" + message.replace(
        b"Auto-Submitted: ", b"Auto-submitted:\r\n  "
    )
    assert verified(travelled + b"\r\n\r\n", *signers) == [True, True]


def test_the_record_of_another_key_does_not_verify(signers: tuple[Signer, Signer]) -> None:
    other = Signer(DOMAIN, "n1", pem(rsa.generate_private_key(65537, 2048)))
    assert verified(signed(composed("Bob"), signers[:1]), other) == [False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no private key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\nMII secret\n-----END PRIVATE KEY-----\n", "no private key in PEM"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA of 2048 bits"),
        (pem(rsa.generate_private_key(65537, 1024)), "neither RSA of 2048 bits"),
    ],
    ids=["nothing", "damaged", "another curve", "too short"],
)
def test_a_key_that_cannot_sign_is_refused_without_showing_it(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Signer(DOMAIN, "n1", text)
    assert "secret" not in str(caught.value)
    assert "openssl genrsa" in str(caught.value)
    assert ADA.address not in str(caught.value)
