"""The words by which a list says that a session is off, or at another time → what they mean, and what stands beside."""

from __future__ import annotations

import re

from notifier.talks import Status

_NONE = r"no (?:seminar|meeting|talk|session|class|lecture|colloquium|workshop)s?"
_HOLIDAY = (
    r"(?:(?:spring|fall|autumn|winter|summer|easter|christmas|thanksgiving|holiday|mid-?term|semester|term|reading)"
    r" (?:break|recess|week|vacation|holidays?)|(?:public|national|bank) holiday|thanksgiving(?: day)?|labou?r day)"
)
# What is meant by any of these, wherever it stands in a notice; in French and German as well.
_OFF = (
    rf"cancel(?:l?ed|lation)\b|{_NONE}\b|annulée?s?\b|pas (?:de|d['’]) ?(?:séminaire|séance|exposé|groupe)s?\b"
    r"|entfällt\b|fällt aus\b|abgesagt\b|kein(?:e)? (?:seminar|vortrag|oberseminar|kolloquium|sitzung)\b"
)
_OFF_ZH = r"已?取消|停办|停讲|停课|停一次|休会|暂停|放假|(?:无|没有)(?:报告|讲座|活动|讨论班)"
# Moved to another room, or to Zoom, a session still is when it was.
_WHEN = (
    r"(?=\W*(?:\d|next\b|another (?:day|date|time)|a later|(?:mon|tues?|wed|thu|fri|sat|sun"
    r"|jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\b))"
)
_PUT_OFF = rf"(?:(?:postponed|rescheduled|delayed|reportée?s?|verschoben)\b(?! from\b)|moved to\b{_WHEN})"
_PUT_OFF_ZH = r"延期|推迟|改期|改至|改到|顺延|延后"
_LONGEST = 200  # characters of a notice, and of a title's end that is looked at for one
_CALLED_OFF = re.compile(rf"\b(?:{_OFF})|{_OFF_ZH}", re.IGNORECASE)
_POSTPONED = re.compile(rf"\b(?:{_PUT_OFF})|{_PUT_OFF_ZH}", re.IGNORECASE)
_ALL_HOLIDAY = re.compile(rf"\W*{_HOLIDAY}\W*|[\u4e00-\u9fff]{{0,6}}(?:放假|假期)", re.IGNORECASE)

# A line that says nothing else. Postponed gratification and cancelled orders are what a talk may well be about.
_OF_WHAT = r"(?:session|seminar|talk|lecture|meeting|event|report)"
_GOES_ON = (
    r"(?=\W*$|\s*[^\w\s]|\s+(?i:due|because|for|this|today|until|till|to|on|from|by|in|and|as|since|again|at)\b"
    r"|\s+(?-i:[A-Z])|\s*\d)"
)
# 暂停的动力学 and 取消关税的影响 are titles.
_GOES_ON_ZH = r"(?=[^\w\s]|[一至到为于另举进了下本两\d\s]|$)"
_NOTICE = re.compile(
    rf"[\W_]{{0,6}}(?:(?:this|the|today['’]s|important|notice|attention)[\s:]+){{0,2}}"
    rf"(?:{_OF_WHAT}\s+)?(?:(?:is|has been|was|will be)\s+)?(?:{_OFF}|{_PUT_OFF}){_GOES_ON}.{{0,100}}"
    rf"|.{{0,60}}[,，:：;；–—-]\s?{_NONE}(?: today| this week)?\W*(?:[(（].{{0,40}})?|{_ALL_HOLIDAY.pattern}"
    rf"|[^的]{{0,16}}(?:{_OFF_ZH}|{_PUT_OFF_ZH}){_GOES_ON_ZH}.{{0,40}}",
    re.IGNORECASE,
)
# Before a title: [Cancelled] …, Canceled: …, POSTPONED - …, （取消）…
_AT_START = re.compile(
    rf"\s*(?:[\[【(（]\s*(?P<inside>(?:{_OFF}|{_PUT_OFF}|{_OFF_ZH}|{_PUT_OFF_ZH})[^\[\]【】()（）]*)[\]】)）]\s*[:：–—-]?"
    rf"|(?P<word>(?!{_NONE}){_OFF}|{_PUT_OFF}|{_OFF_ZH}|{_PUT_OFF_ZH})\s*(?:[:：]|\s[–—-]))\s*(?=\S)",
    re.IGNORECASE,
)
# Behind one, or behind a day: … (CANCELLED), … — moved to Oct 23!, …，停一次（清明）
_AT_END = re.compile(
    rf"(?:^|\s*[:：,，;；|*([（【–—-]|(?<=[)）\]】'\"”’])\s|\s(?=(?:{_OFF_ZH}|{_PUT_OFF_ZH})))[\s([（【*–—-]*"
    rf"(?P<mark>(?:(?:{_OFF}|{_PUT_OFF}|rescheduled from\b){_GOES_ON}|(?:{_OFF_ZH}|{_PUT_OFF_ZH}){_GOES_ON_ZH})"
    r"(?!\s?[:：][^()（）\[\]]*$).{0,60})$",
    re.IGNORECASE,
)


_PAUSE = re.compile(
    r"\W*(?:(?:coffee|tea|lunch|dinner|short)?\s?(?:break|pause)|lunch|dinner|coffee|tea|registration|reception"
    r"|group photo|poster session|opening(?: remarks)?|closing(?: remarks)?|welcome|茶歇|午餐|午休|晚餐|休息|合影|签到"
    r"|注册|开幕式?|闭幕式?|自由讨论)\W*(?:[(（].{0,40}[)）])?\W*",
    re.IGNORECASE,
)


def is_pause(text: str) -> bool:
    """Whether what stands in the place of a talk is none: a coffee break, 茶歇."""
    return _PAUSE.fullmatch(text) is not None


def status_in(notice: str) -> Status | None:
    """What a notice means for its session: cancelled, tentative where a new time is not read, or None: nothing."""
    if _CALLED_OFF.search(notice) or _ALL_HOLIDAY.fullmatch(notice):
        return Status.CANCELLED
    return Status.TENTATIVE if _POSTPONED.search(notice) else None


def is_notice(text: str) -> bool:
    """Whether a text says that a session is off or moved, and says nothing else."""
    return len(text) <= _LONGEST and _NOTICE.fullmatch(text) is not None


def without_notice(text: str) -> tuple[str, str]:
    """A title, or what stands behind a day, without the notice before or behind it, and that notice."""
    if (found := _AT_START.match(text)) and not _ALL_HOLIDAY.fullmatch(text, found.end()):
        return text[found.end() :], _bare(found["inside"] or found["word"])
    if is_notice(text):
        return "", _bare(text)
    if found := _AT_END.search(text, max(0, len(text) - _LONGEST)):
        return text[: found.start()].rstrip(), _bare(found["mark"])
    return text, ""


def _bare(notice: str) -> str:
    notice = notice.strip(" *!:：–—-")
    for before, behind in ("()", "（）", "[]", "【】"):
        if notice.endswith(behind) and before not in notice:
            notice = notice[:-1]
        elif notice.startswith(before) and notice.endswith(behind) and notice.count(before) == 1:
            notice = notice[1:-1]
    return notice.strip(" *!")
