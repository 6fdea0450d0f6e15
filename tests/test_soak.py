"""Mailings to a server that fails in seventeen ways: nothing is lost, no living address dies, no second copy unexcused.

`python -m benchmarks.soak` does the same with more seeds and more people.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from faultserver import REPLIES
from soaking import soak

pytestmark = pytest.mark.chaos

MESSAGES = 1000


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_mailing_to_a_failing_server_reaches_everyone_alive(tmp_path: Path, seed: int) -> None:
    report = await soak(tmp_path, seed, MESSAGES)
    assert report.is_well, report
    assert report.states == {"sent": 980, "failed": 20}
    assert report.duplicates <= report.messages / 20


async def test_the_worse_the_server_the_longer_it_takes_and_nothing_else(tmp_path: Path) -> None:
    report = await soak(tmp_path, 3, 200, rare=0.02)
    assert report.is_well, report
    assert set(report.faults) >= set(REPLIES) - {"taken, gbk"}, "chance spared it some kinds of fault"
