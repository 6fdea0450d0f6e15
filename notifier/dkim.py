"""A message → its DKIM signatures, by which the sender's domain answers for it (RFC 6376; Ed25519 by RFC 8463).

Relaxed headers and a simple body: relays fold headers anew, but bodies here are in 7 bits and short lines, which no
relay touches. There is no time in a signature, so that a message is the same bytes at every attempt.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache

from notifier.errors import ConfigError, Problem

# Signed once more than they are there, so that nobody can add another: what a reader sees, and what programs act on.
_SEALED = ("from", "to", "subject", "date", "reply-to", "content-type", "list-unsubscribe", "list-unsubscribe-post")
_SIGNED = (
    "message-id", "references", "in-reply-to", "mime-version", "list-id", "list-help", "list-archive",
    "auto-submitted", "precedence", "feedback-id", "content-language",
)  # fmt: skip
_LINE = 72


class Signer:
    """One key of a domain, under the selector by which its public half is found."""

    def __init__(self, domain: str, selector: str, pem: str) -> None:
        """From a private key in PEM, RSA or Ed25519. Raises ConfigError where it is none, or shorter than 2048 bits."""
        self.domain, self.selector = domain, selector
        self.algorithm, self._public, self._sign = _loaded(pem)

    @property
    def place(self) -> str:
        """The name in the DNS where verifiers look for the record."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The TXT record to publish there."""
        kind = self.algorithm.partition("-")[0]
        return f"v=DKIM1; k={kind}; p={b64encode(self._public).decode()}"

    def signature(self, message: bytes) -> bytes:
        """The header that signs this complete message with CRLF at every line's end; to be put in front of it."""
        head, _, body = message.partition(b"\r\n\r\n")
        fields = {_name(field): field for field in re.split(rb"\r\n(?![ \t])", head)}
        # In the order in which a verifier takes them; a name without a field stands for its absence.
        names = [*_SEALED, *(name for name in (*_SEALED, *_SIGNED) if name in fields)]
        once = dict.fromkeys(name for name in names if name in fields)
        digest = b64encode(hashlib.sha256(_simple(body)).digest()).decode()
        unsigned = (
            f"DKIM-Signature: v=1; a={self.algorithm}; c=relaxed/simple; d={self.domain}; s={self.selector};\r\n"
            f" h={_folded(names)};\r\n bh={digest};\r\n b="
        ).encode("ascii")
        data = b"".join((*(_relaxed(fields[name]) + b"\r\n" for name in once), _relaxed(unsigned)))
        signed = b64encode(self._sign(data)).decode("ascii")
        lines = [signed[at : at + _LINE] for at in range(0, len(signed), _LINE)]
        return unsigned + "\r\n ".join(lines).encode("ascii") + b"\r\n"


def signed(message: bytes, signers: Sequence[Signer]) -> bytes:
    """The message with a signature of each signer in front, in their order."""
    # Of the same type, for a signature is of such lines as a message that is laid out for the wire.
    return type(message)(b"".join((*(signer.signature(message) for signer in signers), message)))


def _loaded(pem: str) -> tuple[str, bytes, Callable[[bytes], bytes]]:
    """The key's algorithm, its public half as records hold it, and what signs with it."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
    except ImportError as error:
        told = "signing mail needs the library cryptography, which is not installed"
        raise ConfigError(Problem(told, "install seminar-notifier[dkim]", "[dkim]")) from error
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        told = "the key for signing mail is no private key in PEM without a password"
        raise ConfigError(Problem(told, "make one: openssl genrsa -out dkim.pem 2048", "[dkim]")) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        edwards = key
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return "ed25519-sha256", raw, lambda data: edwards.sign(hashlib.sha256(data).digest())
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        rivest = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return "rsa-sha256", public, lambda data: rivest.sign(data, padding.PKCS1v15(), hashes.SHA256())
    told = "the key for signing mail is neither RSA of 2048 bits or more nor Ed25519"
    raise ConfigError(Problem(told, "make one: openssl genrsa -out dkim.pem 2048", "[dkim]"))


def _name(field: bytes) -> str:
    return field.partition(b":")[0].strip().lower().decode("ascii", "replace")


@lru_cache(1024)  # most headers are the same for all readers of a notice
def _relaxed(field: bytes) -> bytes:
    """RFC 6376 section 3.4.2, without the line's end."""
    name, _, value = field.partition(b":")
    unfolded = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b""))
    return name.strip().lower() + b":" + unfolded.strip()


def _simple(body: bytes) -> bytes:
    """RFC 6376 section 3.4.3: one line end at the end, however many there are."""
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n"


def _folded(names: Sequence[str]) -> str:
    lines = [""]
    for name in names:
        piece = name if not lines[-1] else f":{name}"
        if len(lines[-1]) + len(piece) > _LINE:
            lines[-1] += ":"
            lines.append(name)
        else:
            lines[-1] += piece
    return "\r\n  ".join(lines)
