"""The lines of a page → its fields in order: what each is about, its value, and where it stands.

A line begins a field where it starts with a known label and what follows could be such a field's value; the same words
inside an abstract are prose. Any other line belongs to the field before it, or stands for itself as TEXT.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from notifier.talklists.parts.dates import When, day_at_start, plain, read_when
from notifier.talklists.parts.labels import LINKS, PROSE, Kind, Label, find_label, kind_of
from notifier.talklists.parts.lines import Line, without_emphasis
from notifier.talklists.parts.people import has_cjk, is_institution, is_nobody
from notifier.talklists.parts.standings import is_notice
from notifier.talklists.parts.terms import usual_in

RULE_GAP = 9  # a line drawn across the page parts as nine blank lines do
_LABEL_OF_LINK = 40  # characters; what stands for a link inside an abstract is a word or three
_LONGEST_ROW = 6000  # characters; a longer line is no row of several fields
_SHORT = 120  # characters; a longer line is a sentence, not a value


@dataclass(eq=False)
class Field:
    """One labelled value of the page, or a line without a label.

    `gap` counts the blank lines before it. `is_loose` marks a TEXT that stands behind somebody's abstract and may as
    well be its last paragraph.
    """

    kind: Kind
    words: str
    number: int
    gap: int = 0
    lines: list[Line] = field(default_factory=list)
    when: When | None = None
    is_loose: bool = False

    @property
    def text(self) -> str:
        """The value, its lines and paragraphs kept."""
        return "\n".join(line.text for line in self.lines).strip()

    @property
    def is_empty(self) -> bool:
        """True where nothing stands behind the label, not even a link."""
        return not any(line.text or line.links for line in self.lines)

    @property
    def last_text(self) -> str:
        """The last line that is not blank."""
        return next((line.text for line in reversed(self.lines) if line.text), "")


URL = re.compile(r"https?://[^\s<>\"'，。；（）【】、]+|www\.[^\s<>\"'，。；（）【】、]+", re.IGNORECASE)
_MIGHT_BE_TIME = re.compile(
    r"\d\s?[:：点时月年/.-]|\d\s?[ap]\.?m|\d.{0,6}(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?\s?\d|[０-９]",
    re.IGNORECASE,
)
_RECURRING = re.compile(r"\b(?:every|each|(?:bi-?)?weekly|biweekly)\b|每|隔周|双周", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’)）\]]*$")
_COLOPHON = re.compile(
    r"\W{0,3}(?:copyright\b|©|\(c\)\s|all rights reserved|版权所有|powered by|技术支持|.{0,3}ICP[备证]|.{0,3}公网安备"
    r"|last (?:updated|modified)|发布(?:时间|日期|人)|(?:浏览|点击|阅读)(?:次数|量)"
    r"|最后更新|更新时间|友情链接"
    r"|(?:best|kind|warm(?:est)?) (?:regards|wishes)\b|regards,|sincerely|此致\W*$|顺颂).{0,200}",
    re.IGNORECASE,
)
_NAVIGATION = re.compile(
    r"\W{0,3}(?:home|history|back(?: to (?:top|home))?|top|menu|search|log ?in|sign in|english|chinese|share|print|more"
    r"|next|prev(?:ious)?|archive|news|people|contact(?: us)?|about(?: us)?|sitemap|skip to (?:main )?content"
    r"|upcoming(?: \w{1,9})?|past (?:seminars?|talks?|sessions?|events?)|seminars?|events?|read more"
    r"|首页|主页面|历史(?:报告|讲座|记录)?|返回(?:顶部|首页)?|更多|上一页|下一页|登录|搜索|中文|联系我们|关于我们|往期(?:回顾|报告)?|新闻"
    r"|page \d+(?: (?:of|/) \d+)?|\d+ ?/ ?\d+|\[?回?到?顶部\]?)\W{0,3}",
    re.IGNORECASE,
)
_MEETING_HOSTS = re.compile(
    r"meeting\.tencent\.com|voovmeeting|zoom\.(?:us|com)|zoom\.com\.cn|teams\.microsoft|webex\.com|feishu\.cn"
)
_MEETING = re.compile(
    rf"{_MEETING_HOSTS.pattern}|(?:tencent meeting|腾讯会议|zoom|voov)\D{{0,20}}\d[\d\s-]{{7,}}\d", re.IGNORECASE
)
_LIVE_HOSTS = re.compile(r"live\.bilibili\.com|koushare\.com/live|live\.")
_VIDEO_HOSTS = re.compile(r"bilibili\.com/video|b23\.tv|youtu\.be|youtube\.com|v\.youku\.com|v\.qq\.com")

# Words that label a field where fields stand, and inside an abstract only begin a sentence.
_WEAK = frozenset(
    [
        "introduction",
        "overview",
        "summary",
        "description",
        "synopsis",
        "literature",
        "link",
        "links",
        "id",
        "web",
        "url",
        "site",
        "company",
        "organization",
        "organisation",
        "university",
        "institute",
        "series",
        "category",
        "language",
        "place",
        "where",
        "room",
        "host",
        "address",
        "pin",
        "record",
        "profile",
        "download",
        "theme",
        "subject",
        "notice",
        "status",
        "announcement",
        "介绍",
        "内容",
        "链接",
        "号",
        "内容介绍",
        "下载",
        "通知",
        "公告",
        "状态",
        "备注",
        "学校",
        "会议",
    ]
)


def read_fields(lines: Iterable[Line]) -> list[Field]:
    """The fields of these lines, in order."""
    return _Reader().read(list(lines))


def is_sentence_end(text: str) -> bool:
    """Whether the text ends as a sentence does, brackets and quotation marks behind it aside."""
    return _SENTENCE_END.search(text[-12:]) is not None


class _Reader:
    """Reads line by line; `_open` is the field that the next line without a label may belong to."""

    def __init__(self) -> None:
        self._fields: list[Field] = []
        self._open: Field | None = None
        self._gap = 0
        self._in_colophon = False

    def read(self, lines: list[Line]) -> list[Field]:
        following = _next_texts(lines)
        for line, after in zip(lines, following, strict=True):
            if not line.text:
                self._blank(line)
                continue
            fields = list(self._labelled(line, after))
            if fields:
                self._begin(fields)
            else:
                self._unlabelled(line)
            self._gap = 0
        return with_hours(self._fields)

    def _blank(self, line: Line) -> None:
        self._gap += RULE_GAP if line.is_rule else 1
        if line.is_rule:
            self._open = None
        elif self._in_prose():
            self._current.lines.append(line)

    @property
    def _current(self) -> Field:
        assert self._open is not None
        return self._open

    def _in_prose(self) -> bool:
        return self._open is not None and self._open.kind in PROSE and not self._open.is_empty

    def _begin(self, fields: list[Field]) -> None:
        fields[0].gap = self._gap
        self._fields += fields
        self._open = fields[-1]
        self._in_colophon = False

    def _unlabelled(self, line: Line) -> None:
        if _COLOPHON.fullmatch(line.text):
            self._open, self._in_colophon = None, True
        elif (self._gap or not self._in_prose()) and _NAVIGATION.fullmatch(line.text) and not self._is_awaited(line):
            self._open = None
        elif self._open is not None and self._takes(self._open, line):
            self._open.lines.append(line)
            if self._open.kind is Kind.TIME:
                self._open.when = read_when(line.text)
        elif not self._in_colophon and not line.is_footer:
            self._begin([_text(line)])

    def _is_awaited(self, line: Line) -> bool:
        return self._open is not None and self._open.is_empty and bool(line.links)

    def _takes(self, owner: Field, line: Line) -> bool:
        """Whether a line without a label goes on with the open field."""
        if owner.kind in PROSE:
            return not (line.is_heading or line.is_footer)
        if owner.kind in (Kind.TEXT, Kind.TALK) or self._gap > 2:
            return False
        if owner.is_empty:
            return self._fills(owner, line)
        last = owner.last_text
        if owner.kind is Kind.SPEAKER and line.text.startswith(("(", "（")):
            return self._gap == 0
        if owner.kind in (Kind.AFFILIATION, Kind.ORGANISERS, Kind.SPEAKER) and last.endswith(tuple(";；,，、")):
            return True
        if self._gap:
            return False
        if owner.kind in LINKS:
            return not any(map(has_link, owner.lines)) and URL.match(line.text) is not None
        began_empty = owner.lines[0].number > owner.number
        if owner.kind is Kind.SPEAKER and not began_empty:
            return len(line.text) < _SHORT and is_institution(line.text) and not is_sentence_end(line.text)
        if owner.kind is Kind.TITLE:
            return (len(last) >= 50 and line.text[:1].islower()) or last.endswith(tuple("-:：,"))
        return began_empty and owner.kind in (Kind.AFFILIATION, Kind.ORGANISERS, Kind.SPEAKER, Kind.NOTICE)

    def _fills(self, owner: Field, line: Line) -> bool:
        """Whether a line without a label can be the value of a label that stood alone."""
        if owner.kind is Kind.TIME:
            return not read_when(line.text[:200]).is_empty
        if owner.kind in LINKS:
            return has_link(line) or (self._gap == 0 and len(line.text) < _SHORT)
        if owner.kind in (Kind.MEETING_ID, Kind.ALTERNATE_ID):
            return any(ch.isdigit() for ch in line.text) and len(line.text) < _SHORT
        return True

    def _labelled(self, line: Line, after: str) -> Iterator[Field]:
        """The fields that begin on this line."""
        if line.links and (linked := _links_alone(line)):
            yield from linked
            return
        label = find_label(line.text)
        if label and self._is_meant(label, line, after):
            yield from self._split(label, line)
        elif bare := self._without_label(line):
            yield bare

    def _is_meant(self, label: Label, line: Line, after: str) -> bool:
        if self._in_prose():
            return self._is_meant_in_prose(label, line)
        if label.kind is Kind.TALK:
            return True
        if not label.value and not label.is_firm:
            if self._open is not None and self._open.is_empty and self._open.kind is label.kind:
                return False  # 课件： and below it 下载链接
            return _could_follow(label.kind, line, after)
        if not label.is_firm:
            return (
                (has_cjk(label.words) and label.kind not in (*LINKS, Kind.UNKEPT))
                and (label.words[-1] < "\u2e80" or len(label.value) < _SHORT)
                and not is_sentence_end(label.value)
            ) or _proves(label.kind, label.value)
        return _could_be(label.kind, label.value, line) or label.kind is Kind.TIME

    def _is_meant_in_prose(self, label: Label, line: Line) -> bool:
        owner = self._current
        key = "".join(ch for ch in label.words.casefold() if ch.isalnum())
        starts_paragraph = self._gap > 0 or is_sentence_end(owner.last_text)
        if not label.is_firm and label.value:
            return starts_paragraph and _proves(label.kind, label.value)
        if label.kind is Kind.TALK:
            is_bare = not label.value or _is_time(label.value)
            return (self._gap > 0 or (starts_paragraph and is_bare)) and len(label.value) < 2 * _SHORT
        if key in _WEAK or (label.words[:1].islower() and not starts_paragraph):
            return _proves(label.kind, label.value) and starts_paragraph
        if label.kind in PROSE and label.kind is owner.kind:
            return has_cjk(label.words) != has_cjk(owner.words) or label.words == owner.words
        if label.kind in PROSE:
            return True
        if label.kind is Kind.TIME:
            return not label.value or is_nobody(label.value) or _is_time(label.value)
        if label.kind is Kind.TITLE or label.kind is Kind.AFFILIATION or label.kind is Kind.ORGANISERS:
            return len(label.value) < 3 * _SHORT
        if label.kind in LINKS:
            is_short = len(label.value) <= _LABEL_OF_LINK and not is_sentence_end(label.value)
            return is_short or has_link(line)
        return _could_be(label.kind, label.value, line) and len(label.value) < _SHORT

    def _split(self, label: Label, line: Line) -> Iterator[Field]:
        """The field of this label, and those of further labels on the same line."""
        if label.kind is Kind.TALK:
            yield Field(Kind.TALK, label.words, line.number)
            self._open = None  # what follows on the line is no prose
            rest = line.with_text(label.value)
            if not is_nobody(rest.text):
                yield from list(self._labelled(rest, "")) or [_text(rest)]
            return
        following: Label | None = label
        while following is not None:
            label = following
            end, following = next(_seams(label.kind, label.value), (None, None))
            own = label.value if end is None else label.value[:end].rstrip(" \t,;，；|/（(")
            if label.kind in (Kind.MEETING_ID, Kind.ALTERNATE_ID, Kind.PASSCODE):
                own = _without_closing(own)
            yield _field(label, line.with_text(without_emphasis(own).strip()))

    def _without_label(self, line: Line) -> Field | None:
        """The field that a line is by its own shape: a time, a notice, a link to a known place."""
        text = line.text
        if len(text) > 2 * _SHORT:
            return None
        if len(text) < _SHORT and _MIGHT_BE_TIME.search(text) and (when := self._bare_time(text)):
            return Field(Kind.TIME, "", line.number, lines=[line], when=when)
        if len(text) < (40 if self._in_prose() else _SHORT) and is_notice(text):
            return Field(Kind.NOTICE, "", line.number, lines=[line])
        if URL.fullmatch(text) and not (
            self._open is not None and self._takes(self._open, line) and not self._in_prose()
        ):
            kind = _kind_of_host(text)
            return Field(kind, "", line.number, lines=[line]) if kind else None
        return None

    def _bare_time(self, text: str) -> When | None:
        if self._open is not None and self._open.kind is Kind.TIME and self._open.is_empty:
            return None
        when = When() if usual_in(text) else read_when(text.strip("*_#>•- \t"))
        if when.is_empty or (when.rest and not is_notice(when.rest)):
            return None
        is_whole = when.day is not None and when.start is not None
        if self._in_prose():
            is_slot = when.end is not None and when.is_only_time and self._gap > 0
            return when if is_slot or (is_whole and (self._gap or when.end)) else None
        is_day = when.day is not None and (when.day.year or _is_worded_day(text))
        return when if is_whole or when.end or is_day or when.problem else None


def _is_worded_day(text: str) -> bool:
    """Whether a line is a day in words and nothing else: January 23, 3月6日."""
    bare = text.strip("*_#>•-:： \t")
    found = day_at_start(bare)
    return found is not None and not bare[found[2] :].strip(" .,，")


def _next_texts(lines: list[Line]) -> list[str]:
    """For each line the text of the next one that is not blank."""
    after, out = "", []
    for line in reversed(lines):
        out.append(after)
        after = line.text or after
    return out[::-1]


def _links_alone(line: Line) -> list[Field]:
    """One field for each link of a line that is nothing but links named for what they lead to: Slides | Video."""
    kinds = [kind_of(link.words) for link in line.links]
    rest = line.text
    for link in line.links:
        rest = rest.replace(link.words, "", 1) if link.words else rest
    if any(ch.isalnum() for ch in rest) or not all(kind in LINKS for kind in kinds):
        return []
    return [
        Field(kind, link.words, line.number, lines=[replace(line, text="", links=(link,))])
        for kind, link in zip(kinds, line.links, strict=True)
        if kind is not None and link.url
    ]


def _text(line: Line) -> Field:
    return Field(Kind.TEXT, "", line.number, lines=[line])


def _field(label: Label, value: Line) -> Field:
    when = read_when(value.text[:200]) if label.kind is Kind.TIME else None
    kind = label.kind
    if when is not None and when.day is None and (_RECURRING.search(value.text) or usual_in(value.text)):
        kind = Kind.UNKEPT  # a rule for all sessions, not the time of one
    elif kind in (Kind.UNKEPT, Kind.NOTICE) and _MEETING.search(value.text):
        kind = Kind.MEETING  # 地点：腾讯会议 329 744 341
    # A link belongs to the field in whose words it lies; one around the label itself to the label's.
    links = tuple(link for link in value.links if link.words in value.text or link.words in label.words)
    lines = [replace(value, links=links)] if value.text or (kind in LINKS and links) else []
    return Field(kind, label.words, value.number, lines=lines, when=when)


def _seams(kind: Kind, value: str) -> Iterator[tuple[int, Label]]:
    """Where in a value another label begins: any behind a TAB or a wide space, else only one whose value proves it."""
    if len(value) > _LONGEST_ROW:
        return
    if "\t" not in value and (kind in PROSE or len(value) > 4 * _SHORT or not re.search(r"[:：](?!//)", value)):
        return
    signs = r"\t\s?" if kind in PROSE else r"\t\s?| {2}|[,;，；|/（(]\s?|\s"
    for seam in re.finditer(signs, value):
        label = find_label(value[seam.end() :])
        if not label or not label.is_firm or label.kind is Kind.TALK:
            continue
        is_wide = "\t" in seam.group() or seam.group() == "  "
        inner = value[seam.end() :]
        if (is_wide and _could_be(label.kind, label.value, None)) or (
            (":" in inner or "：" in inner) and _proves(label.kind, label.value)
        ):
            is_inside = seam.group()[0] in "（(" or inner[0] in "（("
            closed = label.value.rstrip(")） ") if is_inside else label.value
            yield seam.start(), replace(label, value=closed)


def _without_closing(value: str) -> str:
    """The value without a bracket at its end that was opened before its label."""
    is_open = sum(map(value.count, "(（[【"))
    return value[:-1].rstrip() if value.endswith(tuple(")）]】")) and not is_open else value


def _could_follow(kind: Kind, line: Line, after: str) -> bool:
    """Whether a label that stands alone without a colon is one, by the line after it."""
    if kind in LINKS and any(link.url for link in line.links):
        return True
    if not after:
        return False
    if kind in LINKS:
        return bool(URL.search(after)) or (kind in (Kind.SLIDES, Kind.LIVESTREAM) and len(after) < _LABEL_OF_LINK)
    if kind in (Kind.TIME, Kind.MEETING_ID, Kind.ALTERNATE_ID, Kind.PASSCODE):
        return _proves(kind, after)
    if kind in (Kind.UNKEPT, Kind.NOTICE):
        return False
    found = find_label(after)
    return found is None or (not found.is_firm and (bool(found.value) or kind in PROSE))


def _could_be(kind: Kind, value: str, line: Line | None) -> bool:
    """Whether a value could be one of this kind."""
    if not value or is_nobody(value):
        return True
    if kind is Kind.TIME:
        return _is_time(value)
    if kind in LINKS:
        return bool(URL.search(value)) or (line is not None and has_link(line)) or len(value) <= 80
    if kind in (Kind.MEETING_ID, Kind.ALTERNATE_ID):
        return len(value) < _SHORT and sum(ch.isdigit() for ch in value) >= 3
    if kind is Kind.PASSCODE:
        return len(value) <= 60
    if kind in (Kind.SPEAKER, Kind.UNKEPT):
        return len(value) < 4 * _SHORT
    return True


def _proves(kind: Kind, value: str) -> bool:
    """Whether a value shows by itself that it is of this kind."""
    if kind is Kind.TIME:
        when = read_when(value[:200])
        return not when.is_empty and len(when.rest) < 30
    if kind in LINKS:
        return URL.match(value) is not None
    if kind in (Kind.MEETING_ID, Kind.ALTERNATE_ID):
        return re.match(r"\d[\d\s-]{5,}", plain(value)) is not None
    if kind is Kind.PASSCODE:
        return re.match(r"[^\s,;，；]{3,20}(?:[\s,;，；)）]|$)", value) is not None and len(value) <= 60
    return False


def _is_time(value: str) -> bool:
    when = read_when(value[:200])
    return not when.is_empty and len(when.rest) < 40


def has_link(line: Line) -> bool:
    """Whether a line holds a link or a URL."""
    return any(link.url for link in line.links) or URL.search(line.text) is not None


def _kind_of_host(url: str) -> Kind | None:
    for pattern, kind in ((_MEETING_HOSTS, Kind.MEETING), (_VIDEO_HOSTS, Kind.REPLAY), (_LIVE_HOSTS, Kind.LIVESTREAM)):
        if pattern.search(url):
            return kind
    return None


def with_hours(fields: list[Field]) -> list[Field]:
    """The fields with a day and the hours behind it, each under its own label, made one."""
    out: list[Field] = []
    for entry in fields:
        last = out[-1] if out else None
        if (
            last is not None
            and last.kind is entry.kind is Kind.TIME
            and last.when is not None
            and entry.when is not None
            and (joined := _joined(last.when, entry.when))
        ):
            last.when = joined
            last.lines += entry.lines
        else:
            out.append(entry)
    return out


def _joined(first: When, second: When) -> When | None:
    if first.day and not first.start and second.start and not second.day:
        day, hours = first, second
    elif second.day and not second.start and first.start and not first.day:
        day, hours = second, first
    else:
        return None
    return replace(
        hours,
        day=day.day,
        weekday=day.weekday if day.weekday is not None else hours.weekday,
        zone=hours.zone or day.zone,
        problem=day.problem or hours.problem,
        rest=" ".join(filter(None, (day.rest, hours.rest))),
    )
