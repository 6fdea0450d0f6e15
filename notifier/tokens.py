"""Tokens, the signed words in links: each lets its holder do one thing for one subscriber, without a password.

A token holds no address. Its key is one of a ring: the newest signs, and older ones verify what they signed
until they are retired, so that links in mails already sent go on working.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

from notifier.errors import Problem, TokenError, TokenExpired
from notifier.subscribers import CONFIRM_WITHIN, Subscriber

LINK_KEYS = "link_key"  # the ledger's fact that holds the ring

_BAD = Problem("this link is not one of ours, or it was cut", "open it from a newer mail")


class Purpose(StrEnum):
    """What a link is for; it is good for nothing else. Its name is the first part of the link's path."""

    CONFIRM = "confirm"
    PREFERENCES = "preferences"
    UNSUBSCRIBE = "unsubscribe"
    FEED = "feed"


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a token is for.

    `series` is how often the subscriber's links had been revoked when it was made: those of an older series are void.
    It is None where the token outlives that, since the link that ends all mail must never fail (RFC 8058).
    """

    subscriber_id: int
    series: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keyring:
    """Secret keys, the oldest first: the last one signs, all of them verify."""

    keys: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """The ring in this text, as `text` tells it."""
        return cls(tuple(text.split()))

    @property
    def text(self) -> str:
        """The ring as the ledger keeps it."""
        return " ".join(self.keys)

    def rotated(self, key: str) -> Keyring:
        """The ring with a new key that signs from now on."""
        return Keyring((*self.keys, key))

    def retired(self) -> Keyring:
        """The ring with its newest key alone: what older ones signed is void."""
        return Keyring(self.keys[-1:])

    def sign(self, purpose: Purpose, grant: Grant) -> str:
        """The token that gives this grant for this purpose."""
        # What `dumps` of the serializer gives, in a tenth of the time: every mail has three of these.
        payload = urlsafe_b64encode(_payload(grant)).rstrip(b"=")
        signature = _keyed(purpose, self.keys).copy()
        signature.update(payload)
        return (payload + b"." + urlsafe_b64encode(signature.digest()).rstrip(b"=")).decode("ascii")

    def read(self, purpose: Purpose, token: str, now: datetime) -> Grant:
        """The grant in a token made for this purpose by a key of the ring.

        Raises:
            TokenExpired: its time is over.
            TokenError: it is any other text.
        """
        from itsdangerous import BadData

        try:
            grant = _grant(_serializer(purpose, self.keys).loads(token))
        except (BadData, ValueError, OverflowError) as error:
            raise TokenError(_BAD) from error
        if grant.until is not None and now >= grant.until:
            raise TokenExpired(Problem("this link is too old", "ask for a new one"))
        return grant


@dataclass(frozen=True, slots=True)
class SignedLinks:
    """The links of the site at `base_url`, which has no slash at its end."""

    base_url: str
    keyring: Keyring

    def url(self, purpose: Purpose, one: Subscriber, at: datetime) -> str:
        """The link for this subscriber as it stands in a mail of that time: the same at every attempt."""
        return f"{self.base_url}/{purpose}/{self.token(purpose, one, at)}"

    def token(self, purpose: Purpose, one: Subscriber, at: datetime) -> str:
        """The signed part of the link alone."""
        grant = Grant(one.id) if purpose is Purpose.UNSUBSCRIBE else Grant(one.id, one.series)
        if purpose is Purpose.CONFIRM:
            grant = replace(grant, until=at + CONFIRM_WITHIN)
        return self.keyring.sign(purpose, grant)


def _payload(grant: Grant) -> bytes:
    """In JSON. A number alone is the first version of these tokens, and still that of links that cannot be revoked."""
    if grant.series is None:
        return b"%d" % grant.subscriber_id
    until = b"" if grant.until is None else b",%d" % int(grant.until.timestamp())
    return b"[%d,%d%s]" % (grant.subscriber_id, grant.series, until)


def _grant(payload: Any) -> Grant:
    match payload:
        case int(subscriber_id):
            return Grant(subscriber_id)
        case [int(subscriber_id), int(series)]:
            return Grant(subscriber_id, series)
        case [int(subscriber_id), int(series), int(until)]:
            return Grant(subscriber_id, series, datetime.fromtimestamp(until, UTC))
    raise ValueError("expected a grant, got something else that we signed")


@cache
def _serializer(purpose: Purpose, keys: tuple[str, ...]):  # type: ignore[no-untyped-def]
    from itsdangerous import URLSafeSerializer  # lazily, like every library that not every command needs

    return URLSafeSerializer(list(keys), salt=f"notifier.{purpose}")


@cache
def _keyed(purpose: Purpose, keys: tuple[str, ...]) -> hmac.HMAC:
    return hmac.new(_serializer(purpose, keys).make_signer().derive_key(), digestmod="sha1")
