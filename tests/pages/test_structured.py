"""What search engines read of a session."""

from __future__ import annotations

import json
from dataclasses import replace

from bs4 import BeautifulSoup
from samples import ROOM, TALKS, seminar, session

from notifier.pages.structured import structured
from notifier.talks import Status, Talk

URL = "https://seminar.example.org/sessions/2021-11-27"


def told(one=None, **values):
    return json.loads(structured(one or session(), seminar(), "en", URL, **{"is_over": False, **values}))


def test_an_event_has_its_times_with_their_offset_and_its_way_in():
    event = told()
    assert (event["startDate"], event["endDate"]) == ("2021-11-27T09:30:00+08:00", "2021-11-27T11:30:00+08:00")
    assert event["location"] == {"@type": "VirtualLocation", "url": ROOM.url}
    assert event["eventStatus"] == "https://schema.org/EventScheduled"
    assert [person["name"] for person in event["performer"]] == ["王宇航", "朱通"]
    assert event["performer"][0]["affiliation"] == [{"@type": "Organization", "name": "北京深势科技有限公司"}]


def test_nobody_is_led_into_a_room_where_nothing_is_on():
    assert told(is_over=True)["location"]["url"] == URL
    called_off = told(session(status=Status.CANCELLED))
    assert called_off["location"]["url"] == URL
    assert called_off["eventStatus"] == "https://schema.org/EventCancelled"


def test_a_past_event_tells_where_it_is_recorded():
    replayed = session(talks=(replace(TALKS[0], replay="https://example.org/replay"), TALKS[1]))
    assert told(replayed, is_over=True)["recordedIn"] == [
        {"@type": "VideoObject", "name": TALKS[0].title, "url": "https://example.org/replay"}
    ]
    assert "recordedIn" not in told(replayed)


def test_nothing_in_it_can_end_the_element_it_stands_in():
    evil = "</script><script>alert(1)</script><!--"
    odd = session(talks=(Talk(evil, abstract=evil),))
    page = BeautifulSoup(
        f"<script>{structured(odd, seminar(), 'en', URL, is_over=False)}</script><p>after</p>", "html.parser"
    )
    assert len(page.find_all("script")) == 1
    assert page.p.get_text() == "after"
    assert told(odd)["name"] == evil
