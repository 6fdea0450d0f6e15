"""Addresses that open other programs at the right place: the one table of their forms, and the links made by it.

None of them is documented by its maker as something to rely on. They are what many public programs use and what their
users report to work; where reports contradict each other, pages show the way by copy and paste beside the link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from types import MappingProxyType
from urllib.parse import parse_qs, quote, urlsplit

from notifier.mathtext import plain_math
from notifier.talks import Seminar, Session

# What stands in braces is put in percent-encoded, so that no value can end its parameter.
FORMS = MappingProxyType(
    {
        # Google takes no https address as a cid, and its own page for one is the way that never failed.
        "google_feed": "https://calendar.google.com/calendar/render?cid={webcal}",
        "google_add": "https://calendar.google.com/calendar/u/0/r/settings/addbyurl",
        # Given webcal, outlook.com shows an empty calendar; given https, it does not.
        "outlook_feed": "https://outlook.live.com/calendar/0/addfromweb/?url={feed}&name={name}",
        "office_feed": "https://outlook.office.com/calendar/0/addfromweb/?url={feed}&name={name}",
        # "render" opens the app on Android, where "eventedit" does not.
        "google_event": "https://calendar.google.com/calendar/render"
        "?action=TEMPLATE&text={title}&dates={dates}&details={details}&location={place}&ctz={zone}",
        "outlook_event": "https://outlook.live.com/calendar/0/deeplink/compose"
        "?path=%2Fcalendar%2Faction%2Fcompose&rru=addevent"
        "&startdt={start}&enddt={end}&subject={title}&body={details}&location={place}",
        "office_event": "https://outlook.office.com/calendar/0/deeplink/compose"
        "?path=%2Fcalendar%2Faction%2Fcompose&rru=addevent"
        "&startdt={start}&enddt={end}&subject={title}&body={details}&location={place}",
        # By the number alone: the code in the web address is another, and a passcode is not understood everywhere.
        "tencent_app": "wemeet://page/inmeeting?meeting_code={digits}",
        # Without autoplay=0 the player starts aloud.
        "bilibili_player": "https://player.bilibili.com/player.html"
        "?isOutside=true&bvid={bvid}&p={part}&autoplay=0&danmaku=0&high_quality=1",
    }
)


def filled(form: str, **values: str) -> str:
    """The link of this form of `FORMS` with these values."""
    return FORMS[form].format_map({name: quote(value, safe="") for name, value in values.items()})


def webcal(feed_url: str) -> str:
    """The feed's address as Apple's calendars and the old Outlook subscribe to it. iOS knows no `webcals:`."""
    return re.sub("^https?:", "webcal:", feed_url)


def for_feed(feed_url: str, name: str) -> Mapping[str, str]:
    """The links by which each client subscribes to the feed, by client."""
    return {
        "apple": webcal(feed_url),
        "google": FORMS["google_add"],
        "google_feed": filled("google_feed", webcal=webcal(feed_url)),
        "outlook": filled("outlook_feed", feed=feed_url, name=name),
        "office": filled("office_feed", feed=feed_url, name=name),
    }


def for_session(session: Session, seminar: Seminar, language: str, page_url: str) -> Mapping[str, str]:
    """The links by which each client takes this one session, by client. They know no later change of it."""
    start, end = session.start.astimezone(UTC), session.end.astimezone(UTC)
    titles = [plain_math(talk.title_in(language)) for talk in session.talks if talk.title_in(language)]
    values = {
        "title": " / ".join([seminar.name_in(language), *titles]),
        "details": page_url,
        "place": session.room.url or session.livestream.url,
        "dates": f"{start:%Y%m%dT%H%M%SZ}/{end:%Y%m%dT%H%M%SZ}",
        "zone": seminar.timezone,
        "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {name: filled(f"{name}_event", **values) for name in ("google", "outlook", "office")}


def meeting_app(number: str) -> str:
    """The link that opens a Tencent meeting in its program, "" where this is no number of one."""
    digits = re.sub(r"[\s-]", "", number)
    return filled("tencent_app", digits=digits) if re.fullmatch("[0-9]{9,11}", digits) else ""


def player(url: str) -> str:
    """The player to be shown within a page for a video of Bilibili, "" for any other address."""
    try:
        parts = urlsplit(url)
        video = re.fullmatch(r"/video/(BV[0-9A-Za-z]{10})/?", parts.path)
        part = parse_qs(parts.query).get("p", ["1"])[0]
    except ValueError:
        return ""
    if not video or parts.scheme not in ("http", "https") or parts.hostname not in ("www.bilibili.com", "bilibili.com"):
        return ""
    return filled("bilibili_player", bvid=video[1], part=part if part.isdecimal() else "1")
