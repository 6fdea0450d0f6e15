"""Mail providers by name: where they are reached and how fast they may be sent to.

Tencent and NetEase tell nobody their numbers, which also change; what stands here for them is where to begin, and
`rates.Pace` learns the rest. A limit of a provider that is published is the provider's.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from notifier.rates import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider's mail server; `host` is "" where every customer has another."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    links: int = 2
    limits: Limits = NO_LIMITS


PROVIDERS = MappingProxyType(
    {
        "qq": Provider("smtp.qq.com", 465, "implicit", 2, Limits(per_minute=30)),
        "exmail": Provider("smtp.exmail.qq.com", 465, "implicit", 2, Limits(per_minute=30)),
        "163": Provider("smtp.163.com", 465, "implicit", 2, Limits(per_minute=30)),
        "gmail": Provider("smtp.gmail.com", 465, "implicit", 2, Limits(per_minute=60, per_day=500)),
        "workspace": Provider("smtp.gmail.com", 465, "implicit", 2, Limits(per_minute=60, per_day=2000)),
        "outlook": Provider("smtp.office365.com", 587, "starttls", 2, Limits(per_minute=30, per_day=10_000)),
        "ses": Provider("", 587, "starttls", 4, Limits(per_second=14, per_day=50_000)),
        "postmark": Provider("smtp.postmarkapp.com", 587, "starttls", 4),
        "local": Provider("127.0.0.1", 25, "none", 4),
    }
)
