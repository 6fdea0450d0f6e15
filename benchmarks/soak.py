"""`python -m benchmarks.soak`: mailings through our ledger, dispatcher and transport to a mail server that fails.

Retries run on a clock that is 600 times as fast, so that a day of them is seen out; everything else is as in the
daemon. A line for each seed, then the sum; exit 1 if anything is lost, wronged or doubled without excuse.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faultserver import RARE
from soaking import Report, soak

HEADINGS = (
    "seed", "messages", "lost", "falsely failed", "copies", "unexcused", "undecided", "altered", "attempts", "seconds",
)  # fmt: skip
WIDTHS = (5, 9, 5, 15, 7, 10, 10, 8, 9, 8)


def row(*values: object) -> str:
    return " ".join(f"{value!s:>{width}}" for value, width in zip(values, WIDTHS, strict=True))


def figures(report: Report) -> tuple[int, ...]:
    return (
        report.messages, len(report.lost), len(report.falsely_failed) + len(report.mailed_though_dead),
        report.duplicates, len(report.unexcused), len(report.undecided), len(report.altered), report.transactions,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--rare", type=float, default=RARE, help="how likely each of the 17 faults is")
    parser.add_argument("--links", type=int, default=4)
    given = parser.parse_args()
    logging.disable()  # a line for each fault would drown the figures
    print(row(*HEADINGS))
    reports, faults = [], Counter[str]()
    for seed in range(1, given.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            report = soak(Path(folder), seed, given.messages, rare=given.rare, links=given.links)
        print(row(seed, *figures(report), f"{report.seconds:.1f}"), flush=True)
        reports.append(report)
        faults.update(report.faults)
    sums = [sum(column) for column in zip(*(figures(report) for report in reports), strict=True)]
    print(row("all", *sums, f"{sum(report.seconds for report in reports):.1f}"))
    print("faults:", ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    return 0 if all(report.is_well for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
