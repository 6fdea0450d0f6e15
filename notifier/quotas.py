"""How often something may be done, by whoever does it: a bucket of tokens for each, and no more buckets than stated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta


class Quotas:
    """Each key may do something `burst` times at once, and then as often as `burst` in every `span`.

    Of `most` keys the ones not heard of for longest are forgotten, so that no flood of them fills the memory.
    """

    def __init__(self, burst: int, span: timedelta, *, most: int = 10_000) -> None:
        self._burst, self._span, self._most = burst, span, most
        self._levels: OrderedDict[Hashable, tuple[float, datetime]] = OrderedDict()

    def take(self, key: Hashable, now: datetime) -> bool:
        """Whether this key may do it once more now."""
        level, since = self._levels.pop(key, (float(self._burst), now))
        level = min(self._burst, level + max(now - since, timedelta()) / self._span * self._burst)
        may = level >= 1
        self._levels[key] = (level - may, now)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return may
