from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import DAYS, HOURS, ROOM, START, TALKS, recorded, seminar, session

from notifier import files, letters
from notifier.errors import Problem, TemplateError
from notifier.letters import ADDRESS, LARGEST_HTML, NAME, UNSUBSCRIBE_URL, Letter, Matter, Templates, shortened
from notifier.notices import Kind
from notifier.talks import Link, Livestream, Room, Session, Speaker, Status, Talk

SHIPPED = files.shipped()
TEMPLATES = Templates(SHIPPED)
BASE = "https://seminar.example.org"
MOVED = session(START + 7 * DAYS + HOURS)
CATALOGUE = "locale/zh/LC_MESSAGES/mail.po"


def letter(
    kind: Kind = Kind.REMINDER,
    about: Session | None = None,
    language: str = "en",
    zone: str = "",
    before: Session | None = None,
    templates: Templates = TEMPLATES,
) -> Letter:
    return letters.write(templates, Matter(kind, about or session(), seminar(), BASE, before), language, zone)


def overridden(**texts: str) -> Templates:
    """The shipped templates with others in the place of `mail/…`; the last underscore of a name is its dot."""
    return Templates(SHIPPED, {"mail/" + ".".join(name.rsplit("_", 1)): text for name, text in texts.items()})


def visible(html: str) -> str:
    soup = BeautifulSoup(html, "html.parser")
    for hidden in soup.select(".preheader, title, style"):
        hidden.decompose()
    return " ".join(soup.get_text(" ").split())


# --- what a letter says


def test_a_reminder_opens_with_the_time_and_how_to_join() -> None:
    assert letter(zone="America/New_York").text.splitlines()[:8] == [
        "Fri 26 Nov 2021, 20:30–22:30 New York time (UTC-5), the night before for you",
        "Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8)",
        "",
        "Join Tencent Meeting: https://meeting.tencent.com/dm/p1q2HxwW3x4r",
        "Meeting ID: 329 744 341",
        "Passcode: 974114",
        "Alternate meeting ID (no passcode): 553 2421 7498",
        "Livestream: bilibili living room",
    ]


def test_who_chose_no_zone_reads_the_seminar_s_clock_and_beside_it_that_of_a_session_abroad() -> None:
    assert letter(about=session(timezone="America/New_York")).text.splitlines()[:2] == [
        "Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8), the next day for you",
        "Fri 26 Nov 2021, 20:30–22:30 New York time (UTC-5)",
    ]


def test_a_cancellation_names_the_time_that_its_readers_know_also_where_the_session_was_moved_before() -> None:
    known = session()
    off = replace(MOVED, status=Status.CANCELLED, notice="The speaker is ill.")
    moved, unmoved = (letter(Kind.CANCELLED, s, before=known) for s in (off, replace(off, start=START, end=known.end)))
    assert moved == unmoved
    assert (moved.subject[:24], "The speaker is ill." in moved.text) == ("[Cancelled] Sat 27 Nov, ", True)


def test_a_reminder_in_chinese_opens_the_same_way() -> None:
    assert letter(language="zh").text.splitlines()[:7] == [
        "11月27日 周六 9:30–11:30 北京时间 (UTC+8)",
        "",
        "加入腾讯会议：https://meeting.tencent.com/dm/p1q2HxwW3x4r",
        "会议号：329 744 341",
        "会议密码：974114",
        "备用会议号（无密码）：553 2421 7498",
        "直播：bilibili living room",
    ]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_text_and_html_tell_the_same_facts(kind: Kind, language: str) -> None:
    told = letter(kind, language=language, zone="Europe/Berlin", before=MOVED)
    hours = "3:30–5:30" if kind is Kind.CANCELLED else "2:30–4:30"  # a cancellation is of what was known
    facts = [hours, "王宇航", "冷冻电镜原理及相关算法", "华东师范大学", ADDRESS, BASE]
    if kind is not Kind.CONFIRMATION:
        facts.append(NAME)
    if kind not in (Kind.CANCELLED, Kind.REPLAY):
        facts += [ROOM.url, "329 744 341", "974114", "553 2421 7498", "bilibili living room"]
    html = visible(told.html)
    assert [fact for fact in facts if fact not in told.text] == []
    assert [fact for fact in facts if fact not in html and fact != BASE] == []


@pytest.mark.parametrize("kind", Kind)
def test_chinese_is_set_with_chinese_punctuation(kind: Kind) -> None:
    chinese = replace(seminar(), name_zh="机器学习联合研讨会")
    link = "https://example.org/"
    talks = (replace(TALKS[0], bio="研究员", references=("文献",), slides=Link(link)), *TALKS[1:])
    now = session(talks=talks, room=replace(ROOM, download_url=link), livestream=Livestream(link, "直播间"))
    for before in (MOVED, session(room=replace(ROOM, passcode="1"), talks=(Talk("题", speakers=(Speaker("张三"),)),))):
        told = letters.write(TEMPLATES, Matter(kind, now, chinese, BASE, before), "zh", "America/New_York")
        for words in (told.subject, told.text, BeautifulSoup(told.html, "html.parser").get_text(" ")):
            assert re.findall(r"[^\n]*[\u4e00-\u9fff][,.:;!?](?![\w/])[^\n]*", words) == []


def test_what_is_to_be_seen_again_comes_first_and_nothing_of_how_to_join() -> None:
    told = letter(Kind.REPLAY, replace(recorded(), notice="It starts late."))
    assert told.text.splitlines()[:15] == [
        "The replay is online.",
        "Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8)",
        "",
        "1. 冷冻电镜原理及相关算法",
        "王宇航 (北京深势科技有限公司)",
        "Watch the replay: https://www.bilibili.com/video/BV0",
        "Slides: https://example.org/slides.pdf",
        "",
        "2. 基于神经网络实现碳氢燃料的燃烧模拟",
        "朱通 (华东师范大学)",
        "Watch the replay: https://www.bilibili.com/video/BV1",
        "",
        "More about this session: https://seminar.example.org/sessions/2021-11-27",
        "",
        f"Dear {NAME},",
    ]
    links = [a["href"] for a in BeautifulSoup(told.html, "html.parser").select("a.button-link")]
    assert links == [talk.replay for talk in recorded().talks]
    for body in (told.text, told.html):
        assert [word for word in (ROOM.url, ROOM.meeting_id, ROOM.passcode, "starts late") if word in body] == []
    assert "bilibili.com" not in letter(about=recorded()).text


def test_two_zones_with_the_same_time_are_one_clock() -> None:
    assert letter(zone="Asia/Singapore").text == letter().text


@pytest.mark.parametrize(
    ("zone", "hour", "hint"),
    [
        ("Europe/Berlin", 9, "Berlin time (UTC+1), in the small hours for you"),
        ("America/New_York", 9, "New York time (UTC-5), the night before for you"),
        ("Pacific/Honolulu", 9, "Honolulu time (UTC-10), the day before for you"),
        ("Pacific/Auckland", 20, "Auckland time (UTC+13), in the small hours of the next day for you"),
        ("Europe/Berlin", 18, "Berlin time (UTC+1)"),
    ],
)
def test_a_reader_abroad_is_told_what_they_would_overlook(zone: str, hour: int, hint: str) -> None:
    assert letter(about=session(START.replace(hour=hour)), zone=zone).text.splitlines()[0].endswith(hint)


def test_slots_of_talks_are_by_the_readers_clock() -> None:
    slot = replace(TALKS[0], start=START, end=START + HOURS)
    told = letter(about=session(talks=(slot,)), zone="Europe/Berlin")
    assert "2:30–3:30" in told.text.splitlines()
    assert "2:30–3:30" in visible(told.html)


def test_a_notice_stands_above_all_else() -> None:
    told = letter(about=session(notice="It starts 15 minutes late."))
    assert told.text.startswith("*** It starts 15 minutes late. ***\n")
    assert visible(told.html).startswith("It starts 15 minutes late.")


def test_join_fields_that_are_not_shown_leave_no_trace() -> None:
    told = letter(about=session(room=replace(ROOM, passcode="", alternate_id="")))
    for word in ("974114", "Passcode", "553", "Alternate"):
        assert word not in told.text + told.html


def test_a_session_without_any_way_to_join_says_so() -> None:
    told = letter(about=session(room=Room(), livestream=Livestream()))
    assert "How to join will follow." in told.text
    assert "How to join will follow." in visible(told.html)


def test_a_link_that_is_no_web_link_cannot_be_clicked() -> None:
    bad = "javascript:alert(1)"
    speaker = Speaker("Ada", homepage=bad)
    about = session(
        room=Room(url=bad, download_url=bad), livestream=Livestream(bad), talks=(Talk("T", speakers=(speaker,)),)
    )
    links = [link["href"] for link in BeautifulSoup(letter(about=about).html, "html.parser").select("a[href]")]
    assert bad not in links
    assert links != []


def test_everything_from_the_talk_list_is_escaped_in_html_and_only_there() -> None:
    evil = '<script>"&'
    about = session(
        notice=evil,
        talks=(Talk(evil, speakers=(Speaker(evil, (evil,)),), abstract=evil, bio=evil, references=(evil,)),),
        room=Room("https://example.org/?a=1&b=2", evil, evil, evil),
        livestream=Livestream(label=evil),
    )
    told = letter(Kind.ANNOUNCEMENT, about)
    assert "<script" not in told.html
    assert visible(told.html).count(evil) == told.text.count(evil) == 11


def test_an_abstract_is_whole_in_an_announcement_and_shortened_in_a_reminder() -> None:
    abstract = "A sentence of some length. " * 30 + "The end."
    about = session(talks=(replace(TALKS[0], abstract=abstract, bio="A life.", references=("A paper",)),))
    announced, reminded = letter(Kind.ANNOUNCEMENT, about), letter(Kind.REMINDER, about)
    for word in ("The end.", "A life.", "A paper"):
        assert word in announced.text
        assert word in visible(announced.html)
        assert word not in reminded.text
        assert word not in visible(reminded.html)
    assert f"More about this session: {BASE}/sessions/2021-11-27" in reminded.text


def test_formulas_are_plain_in_text_and_html() -> None:
    told = letter(about=session(talks=(Talk(r"Points in $\mathbb{R}^{d}$", abstract=r"For $\nu$"),)))
    assert "Points in ℝᵈ" in told.text
    assert "For ν" in told.text
    assert "Points in ℝᵈ" in visible(told.html)


def test_a_change_says_what_is_new_and_what_is_no_longer_so() -> None:
    now = replace(MOVED, room=replace(ROOM, passcode="112233"))
    lines = letter(Kind.CHANGE, now, before=session()).text.splitlines()
    assert lines[:6] == [
        "This session was moved.",
        "- Passcode changed",
        "",
        "It is no longer: Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8)",
        "It is now:",
        "Sat 4 Dec 2021, 10:30–12:30 Beijing time (UTC+8)",
    ]
    assert "Passcode: 112233" in lines


def test_a_change_names_no_old_link_and_repeats_nothing_that_stands_beside_it() -> None:
    now = replace(MOVED, notice="In the other room.", room=replace(ROOM, url="https://meeting.tencent.com/dm/new"))
    now = replace(now, room=replace(now.room, meeting_id="987654321"))
    told = letter(Kind.CHANGE, now, before=session())
    assert ROOM.url not in told.text + told.html
    assert told.text.splitlines()[3:5] == [
        "- Meeting link changed",
        "- Meeting ID changed from 329 744 341 to 987 654 321",
    ]
    assert told.text.count("In the other room.") == visible(told.html).count("In the other room.") == 1
    back = letter(Kind.CHANGE, before=session(status=Status.CANCELLED))
    assert "王宇航" in BeautifulSoup(back.html, "html.parser").select(".preheader")[0].text
    assert visible(back.html).lower().count("after all") == back.text.lower().count("after all") == 1


def test_what_is_no_longer_so_is_struck_for_programs_without_styles_and_said_to_those_who_hear_it() -> None:
    moved = BeautifulSoup(letter(Kind.CHANGE, MOVED, before=session()).html, "html.parser")
    (was,) = moved.select("s")
    assert was.parent is not None
    assert was.parent.text == "It is no longer: Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8)"
    off = BeautifulSoup(letter(Kind.CANCELLED, session(status=Status.CANCELLED)).html, "html.parser")
    assert "Sat 27 Nov 2021, 9:30–11:30" in off.select("h1 > s")[0].text
    assert visible(str(off)).startswith(
        "Joint Seminar of Machine Learning CANCELLED: this session does not take place."
    )


def test_a_cancelled_session_offers_no_way_to_join() -> None:
    told = letter(Kind.CANCELLED, session(status=Status.CANCELLED))
    assert told.text.startswith("CANCELLED: this session does not take place.\n")
    for secret in (ROOM.url, "329 744 341", "974114", "553 2421 7498", "bilibili"):
        assert secret not in told.text + told.html


@pytest.mark.parametrize(
    ("kind", "language", "about", "before", "subject"),
    [
        (Kind.REMINDER, "en", session(), None, "Sat 27 Nov, 9:30 Beijing time · Joint Seminar of Machine Learning"),
        (Kind.ANNOUNCEMENT, "en", session(), None, "Sat 27 Nov, 9:30 Beijing time · Joint Seminar of Machine Learning"),
        (
            Kind.CHANGE,
            "en",
            MOVED,
            session(),
            "[Moved] Sat 4 Dec, 10:30 Beijing time · Joint Seminar of Machine Learning",
        ),
        (
            Kind.CHANGE,
            "zh",
            MOVED,
            session(),
            "【改期】12月4日 周六 10:30 北京时间 · Joint Seminar of Machine Learning",
        ),
        (
            Kind.CHANGE,
            "en",
            session(room=Room()),
            session(),
            "[Changed] Sat 27 Nov, 9:30 Beijing time · Joint Seminar of Machine Learning",
        ),
        (
            Kind.CHANGE,
            "zh",
            session(),
            session(status=Status.CANCELLED),
            "【恢复举行】11月27日 周六 9:30 北京时间 · Joint Seminar of Machine Learning",
        ),
        (
            Kind.CANCELLED,
            "zh",
            session(status=Status.CANCELLED),
            session(),
            "【已取消】11月27日 周六 9:30 北京时间 · Joint Seminar of Machine Learning",
        ),
        (
            Kind.REPLAY,
            "en",
            recorded(),
            None,
            "[Replay] Sat 27 Nov, 9:30 Beijing time · Joint Seminar of Machine Learning",
        ),
        (
            Kind.REPLAY,
            "zh",
            session(talks=(replace(TALKS[0], slides=Link("https://example.org/slides.pdf")),)),
            None,
            "【幻灯片】11月27日 周六 9:30 北京时间 · Joint Seminar of Machine Learning",
        ),
    ],
)
def test_a_subject_starts_with_the_time_and_stands_out_when_that_is_news(
    kind: Kind, language: str, about: Session, before: Session | None, subject: str
) -> None:
    assert letter(kind, about, language, before=before).subject == subject


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("zone", ["", "America/New_York"])
def test_a_chinese_subject_has_no_latin_capitals_that_filters_take_for_shouting(kind: Kind, zone: str) -> None:
    chinese = replace(seminar(), name_zh="机器学习联合研讨会")
    told = letters.write(TEMPLATES, Matter(kind, MOVED, chinese, BASE, session()), "zh", zone)
    assert re.findall("[A-Z]", told.subject) == []


def test_a_subject_names_a_zone_without_a_city_by_its_offset() -> None:
    assert letter(zone="Etc/GMT-5").subject.startswith("Sat 27 Nov, 6:30 UTC+5 · ")


@settings(deadline=None)
@given(st.text(max_size=600), st.integers(4, 300))
def test_a_shortened_text_begins_like_the_whole_and_keeps_the_limit(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert text.startswith(short.removesuffix("…"))
    assert len(short) <= limit + 1


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("One. Two three four. Five six", "One. Two three four."),
        ("Onetwothreefourfivesix seven eight", "Onetwothreefourfivesix…"),
        ("一二三四五六七八九十一二三四五。六七八九十", "一二三四五六七八九十一二三四五。"),
        ("一 二三四五六七八九十一二三四五六七八九十一二三四五六", "一 二三四五六七八九十一二三四五六七八九十一二三…"),
        ("short", "short"),
    ],
)
def test_a_text_is_cut_after_a_sentence_or_else_a_word(text: str, short: str) -> None:
    assert shortened(text, 25 if text.startswith("O") else 24 if " " in text else 18) == short


# --- what HTML is made of


@pytest.mark.parametrize("kind", Kind)
def test_html_needs_nothing_from_elsewhere_and_tracks_nobody(kind: Kind) -> None:
    html = letter(kind, before=MOVED).html
    soup = BeautifulSoup(html, "html.parser")
    assert soup.select("img, script, link, iframe, [src], [background]") == []
    assert not re.search(r"url\(|@import|@font-face", html)


def test_html_is_inlined_and_keeps_its_rules_for_the_dark() -> None:
    soup = BeautifulSoup(letter().html, "html.parser")
    assert "background-color: #0b6b5d" in str(soup.select_one("td.button")["style"])  # type: ignore[index]
    assert "prefers-color-scheme: dark" in soup.select_one("style").text  # type: ignore[union-attr]
    assert soup.select_one("meta[name=color-scheme]")["content"] == "light dark"  # type: ignore[index]


def test_outlook_for_windows_which_knows_no_greatest_width_is_given_one() -> None:
    html = letter().html
    ghost = re.search(r'<!--\[if mso\]><table role="presentation" width="600"[^>]*><tr><td><!\[endif\]-->', html)
    assert ghost is not None
    assert html.count("<!--[if mso]></td></tr></table><![endif]-->") == 1
    assert "mso-padding-alt: 14px 36px" in html
    assert '"Microsoft YaHei", sans-serif !important' in html


@pytest.mark.parametrize(("language", "tag"), [("zh", "zh-CN"), ("en", "en")])
def test_html_names_its_language_and_begins_with_the_preheader(language: str, tag: str) -> None:
    soup = BeautifulSoup(letter(language=language).html, "html.parser")
    assert soup.html is not None
    assert soup.html["lang"] == tag
    (letter_itself,) = soup.select("body > *")  # where a mail is shown inside a page, html and body are lost
    assert letter_itself["lang"] == tag
    first = soup.select_one("body > [lang] > *")
    assert first is not None
    assert first["class"] == ["preheader"]
    assert "冷冻电镜原理及相关算法" in first.text


def test_a_letter_too_long_for_mail_programs_is_written_with_shortened_texts() -> None:
    long = session(talks=tuple(replace(TALKS[0], abstract="很长的摘要。" * 900) for _ in range(6)))
    html = letter(Kind.ANNOUNCEMENT, long).html
    assert len(html.encode()) < LARGEST_HTML
    assert UNSUBSCRIBE_URL in html
    endless = session(talks=TALKS * 200)
    with pytest.raises(TemplateError, match="octets of HTML"):
        letter(Kind.ANNOUNCEMENT, endless)


# --- templates of an operator


def test_the_shipped_templates_have_no_problems() -> None:
    assert TEMPLATES.problems() == ()


def test_an_override_takes_the_place_of_one_file_and_may_extend_the_shipped_one() -> None:
    override = '{% extends "shipped/mail/reminder.txt" %}{% block greeting %}Bring {{ session.id }}.\n{% endblock %}'
    templates = overridden(reminder_txt=override)
    assert templates.problems() == ()
    told = letter(templates=templates)
    assert "Bring 2021-11-27." in told.text.splitlines()
    assert "This is the reminder of this session." not in told.text
    assert told.html == letter().html
    assert letter(Kind.ANNOUNCEMENT, templates=templates) == letter(Kind.ANNOUNCEMENT)


def test_an_override_of_the_layout_reaches_every_letter() -> None:
    templates = overridden(
        layout_txt='{% extends "shipped/mail/layout.txt" %}{% block footer %}{{ super() }}Bye{% endblock %}'
    )
    assert templates.problems() == ()
    assert all(letter(kind, templates=templates).text.endswith("Bye\n") for kind in Kind)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("one\n{{ sesion.id }}\n", Problem("'sesion' is undefined", "", "mail/reminder.txt", 2)),
        ("{% for x in sesions %}{% endfor %}", Problem("'sesions' is undefined", "", "mail/reminder.txt", 1)),
        ("one\n{{ 1 / 0 }}", Problem("ZeroDivisionError: division by zero", "", "mail/reminder.txt", 2)),
        ("{{ session|nonsense }}", Problem("No filter named 'nonsense'", "", "mail/reminder.txt", 1)),
        ('{% include "mail/none.txt" %}', Problem("there is no template mail/none.txt", "")),
        ("no link", Problem("it has no link to unsubscribe", "", "mail/reminder.txt")),
    ],
)
def test_what_is_wrong_with_a_template_is_told_with_its_line(text: str, problem: Problem) -> None:
    found = [replace(p, advice="") for p in overridden(reminder_txt=text).problems()]
    assert problem in found


def test_all_unknown_names_are_told_at_once() -> None:
    override = (
        '{% extends "shipped/mail/reminder.txt" %}\n{% block talks %}\n{{ nme }}\n{{ session.titel }}\n{% endblock %}'
    )
    templates = overridden(reminder_txt=override, cancelled_html="{{ reader.unsubscribe_url }}{{ nobody }}")
    assert sorted((p.source, p.line) for p in templates.problems()) == [
        ("mail/cancelled.html", 1),
        ("mail/reminder.txt", 3),
        ("mail/reminder.txt", 4),
    ]


def test_a_template_that_only_asks_whether_a_name_is_known_is_fine() -> None:
    block = "{% block top %}{% if motto is defined %}{{ motto }}{% endif %}{% endblock %}"
    assert overridden(reminder_txt='{% extends "shipped/mail/reminder.txt" %}' + block).problems() == ()


def test_an_unknown_name_stops_a_letter() -> None:
    with pytest.raises(TemplateError, match=r"mail/reminder\.txt:2: .*sesion"):
        letter(templates=overridden(reminder_txt="\n{{ sesion }}"))


def test_every_text_of_the_templates_has_its_chinese_words() -> None:
    folder = Path(__file__).parents[1] / "templates"
    found = extract_from_dir(folder / "mail", [("**", "jinja2")], {}, comment_tags=())
    used = {message for _, _, message, *_ in found}
    catalogue = read_po(io.StringIO(SHIPPED[CATALOGUE]), abort_invalid=True)
    assert {m.id for m in catalogue if m.id and m.string} == used
