from __future__ import annotations

from datetime import timedelta

from samples import DAYS, LONG_AGO

from notifier.pages import charts


def test_a_count_is_drawn_in_steps_from_its_first_change_until_now():
    chart = charts.steps([(LONG_AGO, 3), (LONG_AGO + 5 * DAYS, 4), (LONG_AGO + 8 * DAYS, 1)], LONG_AGO + 10 * DAYS)
    assert chart is not None
    assert (chart.begins, chart.first, chart.last, chart.most) == (LONG_AGO, 3, 1, 4)
    assert chart.path == "M0 30H300V0H480V90H600"


def test_a_count_of_this_very_moment_can_be_drawn():
    chart = charts.steps([(LONG_AGO + DAYS, 0)], LONG_AGO)
    assert chart is not None
    assert chart.path == "M0 120H600"


def test_what_never_changed_is_not_drawn():
    assert charts.steps([], LONG_AGO) is None


def test_a_share_is_seen_however_small_it_is():
    second = timedelta(seconds=1)
    assert [charts.share(part, 4 * second) for part in (second, 0 * second, 4 * second)] == [25.0, 0.5, 100.0]
    assert charts.share(second, timedelta()) == 0.5
