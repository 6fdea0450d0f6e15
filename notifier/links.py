"""A link as it was typed → the same by the letter of RFC 3986, for programs that are strict about it."""

from __future__ import annotations

import functools
import re
from contextlib import suppress
from urllib.parse import quote

_OPENABLE = re.compile(r"(https?://|wemeet:|zoommtg:|msteams:|rtsps?://|ftp://|sips?:|tel:)\S", re.IGNORECASE)
# Up to the host, which may be an IPv6 address; the host; what follows it; the fragment.
_LINK = re.compile(
    r"([a-z]+:(?://)?(?:[^/?#]*@)?)(\[[0-9a-f:.]+\]|[^/?#:\[\]]+)((?::[0-9]*)?(?:[/?;][^#]*)?)(?:(#)(.*))?",
    re.IGNORECASE,
)


@functools.lru_cache(maxsize=4096)  # a meeting's link is that of all its sessions
def uri(url: str) -> str:
    """The link in ASCII, without the comma at which clients cut it; empty where it is none that a program may open.

    It is one by the letter of RFC 3986: a strict reader, as that of Java, refuses the whole calendar over a bracket.
    """
    escaped = re.sub("%(?![0-9A-Fa-f]{2})", "%25", url)  # a sign that escapes nothing stands for itself
    if not _OPENABLE.match(url) or not (parts := _LINK.fullmatch(escaped)):
        return ""
    begin, host, rest, hash_sign, fragment = parts.groups("")
    return "".join((_escaped(begin), _ascii(host), _escaped(rest), hash_sign, _escaped(fragment)))


def _escaped(part: str) -> str:
    return quote(part, safe="%/:=&?~+!$;'@()*")


def _ascii(host: str) -> str:
    """The host under the name by which it is found (RFC 3490): few programs look for one that is escaped."""
    if host.startswith("["):
        return host
    with suppress(UnicodeError):  # it is longer than a name can be
        host = host.encode("idna").decode()
    return _escaped(host)
