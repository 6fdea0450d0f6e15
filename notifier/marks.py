"""A delivery ↔ its mark: the signed word by which a mail that comes back is known, and by which none can be forged.

It stands in the Message-ID, in the sender's address of the envelope (VERP) and in the envelope's id (RFC 3461), since
nobody can say which of them a mail server leaves whole. Its letters survive servers that change case.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32decode, b32encode
from collections.abc import Iterator
from functools import lru_cache

LENGTH = 24
_SUBSCRIBER, _SEAL = 5, 10  # octets: together they are 24 letters of base32 without padding
_SHAPE = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z2-7]{{{LENGTH}}}(?![A-Za-z0-9])")


def mark(key: str, notice: tuple[str, str, int], subscriber_id: int, stranger: str = "") -> str:
    """The mark of this notice to this subscriber, the same for ever; a `stranger` has no id but an address."""
    session_id, rule, generation = notice
    seal = _keyed(key).copy()
    seal.update(f"delivery\0{session_id}\0{rule}\0{generation}\0{subscriber_id}\0{stranger}".encode())
    return b32encode(subscriber_id.to_bytes(_SUBSCRIBER, "big") + seal.digest()[:_SEAL]).decode("ascii").lower()


@lru_cache(4)
def _keyed(key: str) -> hmac.HMAC:
    return hmac.new(key.encode(), digestmod="sha256")


def is_genuine(word: str, key: str, notice: tuple[str, str, int]) -> bool:
    """Whether the word is our mark of this notice to `subscriber_of` the word."""
    return hmac.compare_digest(word, mark(key, notice, subscriber_of(word)))


def subscriber_of(word: str) -> int:
    """Whom the mark is of, if it is genuine."""
    return int.from_bytes(b32decode(word.upper())[:_SUBSCRIBER], "big")


def candidates(text: str) -> Iterator[str]:
    """Every word in the text that has the shape of a mark, in its order."""
    return (found[0].lower() for found in _SHAPE.finditer(text))


def return_address(address: str, word: str) -> str:
    """The sender for the envelope of a marked mail: what comes back to it says by itself which mail that was."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part}+{word}@{domain}"
