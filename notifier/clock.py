"""The wall clock, and whether it can be trusted: the one place that knows what time it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEHIND = timedelta(minutes=5)  # a clock this far behind what it showed before is wrong, not adjusted
LEAP = timedelta(hours=24)  # a step this far ahead would open or expire notices of other days
STABLE = timedelta(minutes=10)  # a clock that was wrong is believed again after so long without a step


def now() -> datetime:
    """The time by the machine's wall clock, aware, in UTC."""
    return datetime.now(UTC)


def since_boot() -> timedelta:
    """The time since the machine started, asleep or awake; a step of the wall clock does not move it."""
    return timedelta(
        seconds=time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    )


@dataclass
class Guard:
    """Tells a wrong clock from passing time, by comparing the wall clock with the time since boot.

    A sleep of the machine moves both and is time that passed; a step moves the wall clock only. While the clock is
    doubtful nothing may open or expire: `observe` returns the reason, and "" when the clock is believed. Its argument
    `high_water` is the latest time this ledger has ever been used at.

    A step ahead of some minutes or hours is likely right, as after the pause of a virtual machine: what is due then is
    sent. But it `is_settled`, so that what is late may be given up, only when it has lasted.
    """

    high_water: datetime
    _last: tuple[datetime, timedelta] | None = None
    _doubt: str = ""
    _doubted_at: timedelta = timedelta()
    _stepped_at: timedelta | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing speaks against the clock, not even a step ahead a moment ago."""
        return not self._doubt and self._stepped_at is None

    def observe(self, wall: datetime, boot: timedelta) -> str:
        """Why the clock is not believed at this look, or ""."""
        step = self._step(wall, boot)
        is_behind = wall < self.high_water - BEHIND
        if is_behind and (self._last is None or step < -BEHIND):
            was = self.high_water
            self._doubt_it(f"the clock shows {wall:%Y-%m-%d %H:%M}Z, but it was {was:%Y-%m-%d %H:%M}Z before", boot)
        elif step > LEAP and not self._doubt:
            self._doubt_it(f"the clock leapt ahead by {step.days} days to {wall:%Y-%m-%d %H:%M}Z", boot)
        elif self._doubt and (boot - self._doubted_at >= STABLE or (abs(step) > BEHIND and not is_behind)):
            self._doubt = ""
        self._last = wall, boot
        if abs(step) > BEHIND:
            self._stepped_at = boot if step > BEHIND else None
        elif self._stepped_at is not None and boot - self._stepped_at >= STABLE:
            self._stepped_at = None
        if self.is_settled:
            self.high_water = max(self.high_water, wall)
        return self._doubt

    def _step(self, wall: datetime, boot: timedelta) -> timedelta:
        if self._last is None:
            return timedelta()
        return (wall - self._last[0]) - (boot - self._last[1])

    def _doubt_it(self, reason: str, boot: timedelta) -> None:
        self._doubt = reason
        self._doubted_at = boot
