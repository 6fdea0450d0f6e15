from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from samples import ADA, BOB, CAROL, DAYS, HOURS, START, seminar, session

from notifier import feed, files, marks, messages
from notifier.errors import AddressError, Problem
from notifier.letters import Templates
from notifier.messages import Composer, Mailbox, Message, Site, message_id
from notifier.notices import Kind, Notice
from notifier.subscribers import Subscriber
from notifier.talks import Session, Status, clean_line

TEMPLATES = Templates(files.shipped())
OPENED = datetime(2021, 11, 26, 1, 30, tzinfo=UTC)
LINK = "https://seminar.example.org/unsubscribe/" + "a1b2c3d4" * 9 + "-"
SITE = Site(
    "https://seminar.example.org",
    "seminar.example.org",
    Mailbox("机器学习联合研讨会", "reminder@seminar.example.org"),
    seminar(),
    lambda purpose, subscriber, at: f"{LINK}{subscriber.id}",
    Mailbox("Organisers", "organisers@example.org"),
)
CANCELLED = session(status=Status.CANCELLED)


def notice(kind: Kind = Kind.REMINDER, rule: str = "", generation: int = 0) -> Notice:
    return Notice("2021-11-27", kind, rule or f"{kind}-1d", generation, OPENED, START)


def composed(
    subscriber: Subscriber = BOB,
    about: Notice | None = None,
    shown: Session | None = None,
    site: Site = SITE,
    before: Session | None = None,
) -> Message:
    composer = Composer(site, TEMPLATES)
    return composer.compose(about or notice(), shown or session(), subscriber, date=OPENED, before=before)


def parsed(message: Message) -> EmailMessage:
    found = email.message_from_bytes(message.body, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def parts(message: Message) -> dict[str, Any]:
    return {part.get_content_type(): part for part in parsed(message).walk()}


def text_of(part: EmailMessage) -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode()


def header_lines(message: Message) -> dict[str, str]:
    """Every header as it is on the wire, folds and all."""
    head = message.body.partition(b"\r\n\r\n")[0].decode("ascii")
    return dict(line.split(": ", 1) for line in re.split(r"\r\n(?! )", head))


# --- headers


def test_who_is_asked_to_confirm_is_on_no_list_and_reads_no_word_of_a_stranger() -> None:
    about = Notice("@2021-11-27", Kind.CONFIRMATION, "confirmation", 3, OPENED, START)
    message = composed(replace(BOB, id=7, name="Buy now"), about)
    lists = [name for name, _ in parsed(message).items() if name.startswith("List-") or name == "Precedence"]
    assert lists == []
    assert b"Buy now" not in message.body
    assert "Yes, subscribe me: https:" in text_of(parts(message)["text/plain"])
    assert "text/calendar" not in parts(message)


def test_all_who_are_welcomed_to_the_same_session_share_their_words() -> None:
    composer = Composer(SITE, TEMPLATES)
    for number in (1, 2):
        about = Notice("@2021-11-27", Kind.WELCOME, "welcome", number, OPENED, START)
        composer.compose(about, session(), replace(BOB, id=number), date=OPENED)
    assert len(composer._skeletons) == 1


@pytest.mark.parametrize("kind", [Kind.CONFIRMATION, Kind.WELCOME])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_mail_about_a_subscription_needs_no_session(kind: Kind, language: str) -> None:
    about = Notice("@", kind, str(kind), 1, OPENED, START)
    message = Composer(SITE, TEMPLATES).compose(about, None, replace(BOB, id=7, language=language), date=OPENED)
    assert "jsml" not in str(parsed(message)["Message-ID"])
    assert (parsed(message)["List-Unsubscribe"] is None) == (kind is Kind.CONFIRMATION)
    assert parsed(message)["References"] is None


def test_a_message_carries_every_header_of_list_mail() -> None:
    message = parsed(composed(replace(BOB, id=7)))
    assert {name: str(value) for name, value in message.items() if name != "Content-Type"} == {
        "Date": "Fri, 26 Nov 2021 09:30:00 +0800",
        "Message-ID": message_id(notice(), marks.mark("", notice().key, 7), "seminar.example.org"),
        "To": "Bob <bob@example.org>",
        "List-Unsubscribe": f"<{LINK}7>, <mailto:organisers@example.org?subject=unsubscribe%20jsml>",
        "From": "机器学习联合研讨会 <reminder@seminar.example.org>",
        "Reply-To": "Organisers <organisers@example.org>",
        "Subject": "Sat 27 Nov, 2:30 Berlin time · Joint Seminar of Machine Learning",
        "References": "<2021-11-27.session@seminar.example.org>",
        "In-Reply-To": "<2021-11-27.session@seminar.example.org>",
        "List-Id": "Joint Seminar of Machine Learning <jsml.seminar.example.org>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Help": "<https://seminar.example.org/>",
        "List-Archive": "<https://seminar.example.org/>",
        "Auto-Submitted": "auto-generated",
        "Precedence": "list",
        "X-Auto-Response-Suppress": "All",
        "Feedback-ID": "reminder-1d:2021-11-27:reminder:jsml",
        "Content-Language": "en",
        "MIME-Version": "1.0",
    }


def test_the_envelope_goes_from_the_sender_to_the_subscriber() -> None:
    message = composed()
    assert (message.sender, message.recipient) == ("reminder@seminar.example.org", "bob@example.org")


def test_list_unsubscribe_is_folded_only_at_the_comma_and_never_encoded() -> None:
    written = header_lines(composed(replace(BOB, id=7)))["List-Unsubscribe"]
    assert written == f"<{LINK}7>,\r\n <mailto:organisers@example.org?subject=unsubscribe%20jsml>"


@pytest.mark.parametrize(
    ("link", "written"),
    [
        ("https://example.org/a>\r\nBcc: eve@example.org", "https://example.org/a%3E%0D%0ABcc:%20eve@example.org"),
        ("https://研讨会.example.org/退?a=1&b=%20", "https://xn--6oqv21hv7m.example.org/%E9%80%80?a=1&b=%20"),
    ],
)
def test_no_link_breaks_its_header(link: str, written: str) -> None:
    message = composed(site=replace(SITE, link=lambda *_: link, reply_to=None))
    assert header_lines(message)["List-Unsubscribe"] == f"<{written}>"


def test_without_a_reply_address_nobody_is_told_to_write() -> None:
    message = parsed(composed(site=replace(SITE, reply_to=None)))
    assert message["Reply-To"] is None
    assert "mailto:" not in message["List-Unsubscribe"]


def test_announcement_and_reminders_form_one_thread_and_a_change_stands_out() -> None:
    told = [parsed(composed(about=notice(kind))) for kind in (Kind.ANNOUNCEMENT, Kind.REMINDER)]
    moved = parsed(composed(about=notice(Kind.CHANGE), shown=session(START + 7 * DAYS), before=session()))
    assert told[0]["Subject"] == told[1]["Subject"]
    assert moved["Subject"] == "[Moved] Sat 4 Dec, 2:30 Berlin time · Joint Seminar of Machine Learning"
    assert {message["References"] for message in (*told, moved)} == {"<2021-11-27.session@seminar.example.org>"}


def test_threading_can_be_switched_off() -> None:
    message = parsed(composed(site=replace(SITE, threading=False)))
    assert message["References"] is message["In-Reply-To"] is None


@pytest.mark.parametrize(
    "name",
    [
        "Bob\r\nBcc: eve@example.org",
        'Bob" <eve@example.org>, "',
        "Bob, the Builder",
        "王伟 👩‍🔬",
        "名" * 200,
        "b" * 500,
        "\u202egro.elpmaxe@eve",
        "\ufdd2",
    ],
)
def test_no_name_breaks_a_message(name: str) -> None:
    message = composed(replace(BOB, name=name))
    headers = parsed(message)
    assert headers.keys() == parsed(composed()).keys()
    assert [address.addr_spec for address in headers["To"].addresses] == ["bob@example.org"]
    (greeting,) = [line for line in text_of(parts(message)["text/plain"]).splitlines() if line.startswith("Dear ")] or [
        ""
    ]
    assert greeting == (f"Dear {clean_line(name)}," if clean_line(name) else "")
    assert max(len(line) for line in message.body.split(b"\r\n")) <= 998


def test_a_domain_in_other_letters_is_written_in_ascii() -> None:
    message = composed(replace(BOB, address="bob@研讨会.example.org"), site=replace(SITE, domain="研讨会.example.org"))
    assert message.recipient == "bob@xn--6oqv21hv7m.example.org"
    assert parsed(message)["To"].addresses[0].addr_spec == message.recipient
    assert message.message_id.endswith("@xn--6oqv21hv7m.example.org>")


def test_an_address_in_other_letters_is_in_the_envelope_and_names_an_empty_group() -> None:
    message = composed(replace(BOB, address="王伟@example.org"))
    assert message.recipient == "王伟@example.org"
    message.body.decode("ascii")
    to = parsed(message)["To"]
    assert to.addresses == ()
    assert [group.display_name for group in to.groups] == ["Bob 王伟@example.org"]


@pytest.mark.parametrize(
    "address", ["", "bob", "bob@", "@example.org", "bob@example.org\r\nRCPT TO:<eve@example.org>", "a b@c.d"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError):
        composed(replace(BOB, address=address))


# --- identity


def test_a_message_is_the_same_bytes_at_every_attempt() -> None:
    assert composed() == composed()


def test_a_message_id_tells_notices_and_subscribers_apart() -> None:
    notices = [
        notice(),
        notice(rule="reminder-1h"),
        notice(generation=1),
        replace(notice(), session_id="2021-12-11"),
        replace(notice(), session_id="讲座"),
        replace(notice(), session_id="报告"),
    ]
    people = [BOB, ADA, replace(BOB, id=7), replace(BOB, id=8)]
    ids = [composed(who, about).message_id for about in notices for who in people]
    assert len(set(ids)) == len(ids) == 24


def test_a_message_id_is_a_plain_word_without_the_address() -> None:
    for about in (notice(), replace(notice(), session_id="讲座 <1>\r\n@" * 9, rule="reminder-1d12h30m")):
        identity = composed(BOB, about).message_id
        assert re.fullmatch(r"<[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*@seminar\.example\.org>", identity)
        assert "bob" not in identity


def test_a_message_id_stays_when_a_known_subscriber_changes_their_address() -> None:
    known = replace(BOB, id=7)
    moved = replace(known, address="bob@new.example.org")
    assert composed(known).message_id == composed(moved).message_id


def test_the_mark_of_a_delivery_stands_wherever_servers_may_leave_it() -> None:
    site = replace(SITE, mark_key="a key for tests", return_path="bounce@seminar.example.org")
    message = composed(replace(BOB, id=7), site=site)
    assert message.mark == marks.mark("a key for tests", notice().key, 7)
    assert message.message_id == f"<2021-11-27.reminder-1d.0.{message.mark}@seminar.example.org>"
    assert message.sender == f"bounce+{message.mark}@seminar.example.org"
    assert parsed(message)["From"] == "机器学习联合研讨会 <reminder@seminar.example.org>"


def test_a_mail_can_end_a_subscription_by_the_links_token_where_a_program_reads_it() -> None:
    message = composed(replace(BOB, id=7), site=replace(SITE, unsubscribe_by_mail="bounce@seminar.example.org"))
    token = LINK.rpartition("/")[2]
    written = f"<{LINK}7>,\r\n <mailto:bounce@seminar.example.org?subject=unsubscribe%20{token}7>"
    assert header_lines(message)["List-Unsubscribe"] == written


def test_a_date_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an aware datetime"):
        Composer(SITE, TEMPLATES).compose(notice(), session(), BOB, date=datetime(2021, 11, 26))  # noqa: DTZ001


# --- bodies


@pytest.mark.parametrize(
    ("attach", "shape"), [(True, "mixed(alternative(plain html calendar) ics)"), (False, "alternative(plain html)")]
)
def test_a_message_has_text_html_and_calendar(attach: bool, shape: str) -> None:
    def shape_of(part: Any) -> str:
        inner = f"({' '.join(map(shape_of, part.iter_parts()))})" if part.is_multipart() else ""
        return part.get_content_subtype() + inner

    assert shape_of(parsed(composed(site=replace(SITE, attach_calendar=attach)))) == shape


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("kind", "shown", "method"), [(Kind.REMINDER, session(), "PUBLISH"), (Kind.CANCELLED, CANCELLED, "CANCEL")]
)
def test_the_calendar_is_the_readers_event_with_the_method_of_its_part(
    kind: Kind, shown: Session, method: str, language: str
) -> None:
    message = composed(replace(ADA, language=language), about=notice(kind), shown=shown)
    found = parts(message)
    calendar, attached = found["text/calendar"], found["application/ics"]
    octets = feed.single(
        shown, SITE.seminar, base_url=SITE.base_url, method=method, organizer=SITE.reply_to.address, language=language
    )
    assert calendar.get_payload(decode=True) == attached.get_payload(decode=True) == octets
    assert calendar["Content-Type"].params == {"charset": "utf-8", "method": method}
    assert Calendar.from_ical(octets)["METHOD"] == method
    assert attached.get_filename() == "seminar-2021-11-27.ics"
    assert attached.get_content_disposition() == "attachment"


def test_a_session_with_an_odd_id_has_a_plain_file_name() -> None:
    found = parts(composed(shown=session(id='讲座"; x=\r\n"')))
    assert re.fullmatch(r"seminar-[a-z0-9-]+\.ics", found["application/ics"].get_filename())


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("who", [ADA, BOB, CAROL, replace(CAROL, name="")])
def test_every_message_is_sound_on_the_wire(kind: Kind, who: Subscriber) -> None:
    message = composed(who, notice(kind), before=session(START - HOURS))
    assert not [defect for part in parsed(message).walk() for defect in part.defects]
    message.body.decode("ascii")
    lines = message.body.removesuffix(b"\r\n").split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert not [line for line in lines if line.startswith(b".")]
    body = lines[lines.index(b"") :]
    assert max(map(len, body)) <= 76
    assert all(len(word) <= 75 for word in re.findall(rb"=\?.*?\?=", message.body))


def test_the_reader_is_named_and_escaped_where_they_come_in() -> None:
    message = composed(replace(BOB, name='<b>"Bob" & Co</b>', id=7))
    found = parts(message)
    text, html = text_of(found["text/plain"]), text_of(found["text/html"])
    assert 'Dear <b>"Bob" & Co</b>,\r\n' in text
    assert "Dear &lt;b&gt;&quot;Bob&quot; &amp; Co&lt;/b&gt;," in html
    assert f"Unsubscribe: {LINK}7\r\n" in text
    assert f'href="{LINK}7"' in html
    for body in (text, html):
        assert "bob@example.org" in body
        assert not re.search("[\ufdd0-\ufdef]", body)


def test_a_reader_without_a_name_is_not_greeted_by_one() -> None:
    assert "Dear" not in text_of(parts(composed(replace(BOB, name="")))["text/plain"])


READERS = st.builds(
    Subscriber,
    st.sampled_from(["ada@example.org", "bob+list@example.org", "carol@sub.example.org"]),
    st.text(max_size=60),
    st.sampled_from(["zh", "en"]),
    st.sampled_from(["", "Europe/Berlin", "America/New_York"]),
    id=st.integers(0, 10**9),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(READERS, min_size=2, max_size=6))
def test_one_composer_writes_each_reader_what_a_fresh_one_would(readers: list[Subscriber]) -> None:
    shared = Composer(SITE, TEMPLATES)
    for reader in readers:
        assert shared.compose(notice(), session(), reader, date=OPENED) == composed(reader)


def test_a_composer_tells_of_the_session_as_it_is_at_each_message() -> None:
    composer = Composer(SITE, TEMPLATES)
    texts = [
        text_of(parts(composer.compose(notice(), shown, BOB, date=OPENED, before=before))["text/plain"])
        for shown, before in (
            (session(), None),
            (session(START + DAYS), None),
            (session(), session(START + DAYS)),
            (session(), None),
        )
    ]
    assert texts[0] == texts[3]
    assert texts[0] != texts[1]
    assert texts[1].startswith("Sun 28 Nov 2021")


def test_a_composer_keeps_a_bounded_number_of_skeletons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "KEPT", 2)
    composer = Composer(SITE, TEMPLATES)
    for hours in range(4):
        composer.compose(notice(rule=f"reminder-{hours}h"), session(), BOB, date=OPENED + timedelta(hours=hours))
    assert len(composer._skeletons) == 2


def test_trouble_is_told_with_every_problem_on_a_line_of_its_own() -> None:
    problems = [Problem("it ends here", "restore it", "talks.toml", 42), Problem("没有标题")]
    told = messages.trouble(SITE, "ada@example.org", "the talk list was refused", problems, date=OPENED)
    message = parsed(told)
    assert (told.sender, told.recipient) == ("reminder@seminar.example.org", "ada@example.org")
    assert message["Subject"] == "[Joint Seminar of Machine Learning] the talk list was refused"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == told.message_id
    assert text_of(message).splitlines()[:4] == [
        "the talk list was refused.",
        "",
        "- talks.toml:42: it ends here; restore it",
        "- 没有标题",
    ]
