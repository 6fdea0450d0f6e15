"""What the feed costs to make, beside what icalendar takes to write the same events; both sides in one run.

.venv/bin/python -m benchmarks.feed
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

from icalendar import Calendar

from benchmarks.load import DOMAIN, NOW, SITE
from benchmarks.long_list import long_list
from notifier import events, feed, intake, revisions, talklists, talks
from notifier.feed import Options
from notifier.talklists import Context
from notifier.talks import Audience, Seminar

SESSIONS, ROUNDS = 2000, 5
ALL = Options(past=None)


def main() -> None:
    """Prints the medians of both sides in milliseconds of CPU, and their ratios beside those wanted."""
    public = published()
    calendar = Calendar.from_ical(rendered(public))
    assert isinstance(calendar, Calendar)
    assert len(calendar.walk("VEVENT")) == SESSIONS
    theirs, full, edit = [], [], []
    gc.collect()
    gc.freeze()  # as the daemon does once it has started
    for turn in range(ROUNDS):
        theirs.append(spent(calendar.to_ical))
        events.forget()
        full.append(spent(partial(rendered, public)))
        edit += [spent(partial(rendered, edited(public, ROUNDS * turn + n))) for n in range(ROUNDS)]
    print(f"{SESSIONS} sessions, medians of {ROUNDS} rounds, ms of CPU")
    print(f"{'icalendar: Calendar.to_ical() of the same events':52}{median(theirs):>9.1f}")
    print(
        f"{'feed.render of a new list':52}{median(full):>9.1f}{median(full) / median(theirs):>9.2f} x    wanted <= 1.3"
    )
    print(
        f"{'feed.render after one edit':52}{median(edit):>9.2f}{median(theirs) / median(edit):>9.0f} x    wanted >= 500"
    )


def published() -> Seminar:
    """The long list as the public may see it."""
    reading = talklists.read(long_list(SESSIONS), Context())
    recognised, _ = intake.recognise(reading, None, {})
    stamped, _ = revisions.stamp(recognised, {}, domain=DOMAIN, now=NOW)
    return talks.shown(Audience.PUBLIC, stamped, SITE.levels)


def edited(seminar: Seminar, turn: int) -> Seminar:
    """The same, but for one session in the middle."""
    sessions = list(seminar.sessions)
    middle = len(sessions) // 2
    sessions[middle] = replace(sessions[middle], notice=f"Moved {turn}.", revision=turn + 1)
    return replace(seminar, sessions=tuple(sessions))


def rendered(seminar: Seminar) -> bytes:
    """The whole feed, however far it goes back."""
    return feed.render(seminar, now=NOW, base_url=SITE.base_url, options=ALL)


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000


if __name__ == "__main__":
    main()
