"""The fields of one talk → a `Talk`; those of a meeting → what a `Room` and a `Livestream` hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from notifier.locations import is_web_address
from notifier.talklists.parts.blocks import Block
from notifier.talklists.parts.cells import plain_passcode
from notifier.talklists.parts.dates import plain
from notifier.talklists.parts.fields import URL, Field, is_sentence_end
from notifier.talklists.parts.labels import Kind
from notifier.talklists.parts.lines import Line, without_emphasis
from notifier.talklists.parts.people import has_cjk, is_nobody
from notifier.talklists.parts.speakers import Warn, shortened, speakers_of
from notifier.talklists.parts.standings import without_notice
from notifier.talks import Link, Livestream, Talk

_COURSE = re.compile(
    r"^(?:the\s)?\d{1,3}(?:st|nd|rd|th)\s(?:course|lecture|lesson)\b|^第.{1,4}[讲课]|课程", re.IGNORECASE
)
_LIST_ITEM = re.compile(r"\s*(?:[-*•·]\s|[(（\[]?\d{1,2}[)）.\]、])")
_REFERENCE = re.compile(r"\s*(?:\[\d{1,3}\]|[(（]\d{1,3}[)）]|\d{1,3}[.)、．](?=\s|\D))\s*")
_INLINE_REFERENCE = re.compile(r"\s+(?=\[\d{1,3}\]\s)")
_MEETING_NUMBER = re.compile(r"\d[\d\s-]{6,}\d")
_PASSCODE = re.compile(
    r"(?:密码|口令|password|passcode|pwd)\s?(?:is|为)?\s?[:：]?\s?([^\s,;，；。)）]+)", re.IGNORECASE
)
_SYSTEM = re.compile(r"tencent|tecent|voov|zoom|teams|webex|feishu|lark|腾讯|飞书|钉钉", re.IGNORECASE)
_VIDEO_ID = re.compile(
    r"(?:bilibili|b站|哔哩哔哩)?\W{0,3}(BV[0-9A-Za-z]{10})", re.IGNORECASE
)  # Bilibili's own; it names the page
_CONTENT = (Kind.TITLE, Kind.SPEAKER, Kind.ABSTRACT, Kind.REPLAY, Kind.SLIDES)
_WRAPPED = 130  # characters; a paragraph of longer lines was not broken to fit a width


@dataclass(frozen=True, slots=True)
class TalkDraft:
    """A talk without its time. `is_tentative` where title or speaker are announced as not known yet."""

    talk: Talk
    is_tentative: bool
    notice: str


def talk_of(block: Block, warn: Warn) -> TalkDraft | None:
    """The talk of a block; None where the block is a bare time."""
    speakers = speakers_of(block, warn)
    _tell_of_unread(block, warn)
    if not block.of(*_CONTENT):
        return None
    titles = block.of(Kind.TITLE)
    title, title_zh, notice = _titles(titles)
    abstract, abstract_zh = _abstracts(block, warn)
    if not titles:
        warn(block.number, "this talk has no title")
    if not block.of(Kind.SPEAKER) and (title or not notice):
        warn(block.number, "this talk has no speaker")
    talk = Talk(
        title=title,
        title_zh=title_zh,
        speakers=speakers,
        abstract=abstract,
        abstract_zh=abstract_zh,
        bio="\n\n".join(filter(None, (_prose(entry, warn) for entry in block.of(Kind.BIO)))),
        references=tuple(item for entry in block.of(Kind.REFERENCES) for item in _references(entry)),
        slides=_slides(block, warn),
        replay=_replay(block, warn),
        kind="course" if _COURSE.search(title) else "",
    )
    is_tentative = bool(titles and not title) or bool(block.of(Kind.SPEAKER) and not speakers)
    return TalkDraft(talk, is_tentative, notice)


def _tell_of_unread(block: Block, warn: Warn) -> None:
    for entry in block.of(Kind.TEXT):
        warn(entry.number, f"the line {shortened(entry.text)!r} was not understood and left out")
    for entry in block.of(Kind.UNKEPT):
        if not entry.is_empty:
            warn(entry.number, f"a talk list has no place for {entry.words!r}; {shortened(entry.text)!r} was left out")


def _titles(fields: list[Field]) -> tuple[str, str, str]:
    """The title, the Chinese one beside another, and the notice that stood before them."""
    texts, notice = [], ""
    for entry in fields:
        text = without_emphasis(" ".join(entry.text.split()))
        text, said = without_notice(text)
        notice = said or notice
        if not is_nobody(text):
            texts.append(text)
    if len(texts) == 2 and has_cjk(texts[0]) != has_cjk(texts[1]):
        chinese, other = sorted(texts, key=has_cjk, reverse=True)
        return other, chinese, notice
    return " / ".join(texts), "", notice


def _abstracts(block: Block, warn: Warn) -> tuple[str, str]:
    texts = [text for entry in block.of(Kind.ABSTRACT) if (text := _prose(entry, warn))]
    if len(texts) == 2 and has_cjk(texts[0][:40]) != has_cjk(texts[1][:40]):
        chinese, other = sorted(texts, key=lambda text: has_cjk(text[:40]), reverse=True)
        return other, chinese
    return "\n\n".join(texts), ""


def _prose(entry: Field, warn: Warn) -> str:
    """The paragraphs of a field, their lines joined where they were broken to fit a width."""
    text = "\n\n".join(map(_joined, _paragraphs(entry.lines)))
    if is_nobody(text):
        return ""
    if len(text) > 30 and not is_sentence_end(text):
        last = next(line.number for line in reversed(entry.lines) if line.text)
        warn(last, f"the {entry.kind} ends in the middle of a sentence: {'…' + text[-30:]!r}")
    return without_emphasis(text)


def _paragraphs(lines: list[Line]) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in [*lines, None]:
        if line is not None and line.text:
            paragraph.append(line.text.replace("\t", " ").replace("  ", " "))
        elif paragraph:
            yield paragraph
            paragraph = []


def _joined(lines: list[str]) -> str:
    text = lines[0]
    is_wrapped = _was_wrapped(lines)
    for before, line in pairwise(lines):
        space = "" if has_cjk(before[-1]) and has_cjk(line[0]) else " "
        text += (space if is_wrapped and not _LIST_ITEM.match(line) else "\n") + line
    return text


def _was_wrapped(lines: list[str]) -> bool:
    """Whether a paragraph's lines were broken to fit a width: all but the last nearly as long as the longest."""
    width = max(map(len, lines))
    least = 30 if has_cjk(lines[0]) else 60
    return least <= width <= _WRAPPED and all(len(line) > 0.7 * width for line in lines[:-1])


def _references(entry: Field) -> list[str]:
    """The entries of a list without their numbers; in a numbered list a line without one goes on with the last."""
    lines = [part for line in entry.lines if line.text for part in _INLINE_REFERENCE.split(line.text)]
    is_numbered = any(_REFERENCE.match(line) for line in lines)
    items: list[str] = []
    for line in lines:
        found = _REFERENCE.match(line)
        if items and is_numbered and not found:
            items[-1] += f" {line}"
        else:
            items.append(line[found.end() :] if found else line.lstrip("-*•· "))
    return items


def _slides(block: Block, warn: Warn) -> Link | None:
    found = [(entry, *target_of(entry)) for entry in block.of(Kind.SLIDES)]
    found = [(entry, url, words) for entry, url, words in found if url or not is_nobody(words)]
    for entry, url, words in found[1:]:
        warn(entry.number, f"a second link to slides, {url or words!r}, was left out")
    if not found:
        return None
    entry, url, words = found[0]
    if not url:
        _tell_of_lost_link(entry, words, warn)
    return Link(url=url, label=words)


def _replay(block: Block, warn: Warn) -> str:
    urls: list[str] = []
    for entry in block.of(Kind.REPLAY):
        url, words = target_of(entry)
        if url:
            urls.append(url)
        elif not is_nobody(words):
            _tell_of_lost_link(entry, words, warn)
    for entry in block.of(Kind.REPLAY)[1:] if len(urls) > 1 else ():
        warn(entry.number, f"a second replay, {shortened(entry.text)!r}, was left out")
    return urls[0] if urls else ""


def _tell_of_lost_link(entry: Field, words: str, warn: Warn) -> None:
    warn(entry.number, f"{entry.kind} {shortened(words)!r}: link target lost", "add the address by hand")


def target_of(entry: Field) -> tuple[str, str]:
    """The target of a field's link, empty where it is lost, and the words beside it."""
    text = entry.text
    linked = next((link for line in entry.lines for link in line.links if link.url), None)
    if linked is not None:
        words = text if any(map(str.isalnum, text)) and not URL.fullmatch(text) else ""  # an icon says nothing
        return linked.url, words
    found = URL.search(text)
    if not found:
        video = _VIDEO_ID.fullmatch(text)
        return (f"https://www.bilibili.com/video/{video[1]}", "") if video else ("", text)
    url = found.group().rstrip(".,;!?…")
    words = f"{text[: found.start()]} {text[found.start() + len(url) :]}".strip(" ()<>[]（）-:：,;.")
    url = url if "://" in url else f"http://{url}"
    return (url, " ".join(words.split())) if is_web_address(url) else ("", text)


def room_of(entry: Field, warn: Warn) -> dict[str, str]:
    """The fields of a `Room` that this one gives."""
    if entry.kind is Kind.LIVESTREAM or (is_nobody(entry.text) and not entry.lines):
        return {}
    if entry.kind is Kind.PASSCODE:
        return {"passcode": "" if is_nobody(entry.text) else plain_passcode(entry.text)}
    if entry.kind is Kind.DOWNLOAD:
        return {"download_url": _link(entry, warn)}
    if entry.kind is Kind.ALTERNATE_ID:
        return {"alternate_id": _alternate_id(entry, warn)}
    found = _number_and_passcode(entry.text)
    if entry.kind is Kind.MEETING_ID:
        return {"meeting_id": entry.text, **found}
    url, words = target_of(entry)
    if url:  # a number within the link is no meeting ID, but one beside it is
        return {"url": url, **_number_and_passcode(words)}
    return found if "meeting_id" in found else {"url": _link(entry, warn)}


def _number_and_passcode(text: str) -> dict[str, str]:
    number, passcode = _MEETING_NUMBER.search(plain(text)), _PASSCODE.search(plain(text))
    found = {"meeting_id": number.group()} if number else {}
    if not number or not passcode or is_nobody(passcode[1]):
        return found
    return {**found, "passcode": passcode[1]}


def _link(entry: Field, warn: Warn) -> str:
    url, words = target_of(entry)
    if not url and not is_nobody(words):
        _tell_of_lost_link(entry, words, warn)
    return url


def _alternate_id(entry: Field, warn: Warn) -> str:
    if is_nobody(entry.text):
        return ""
    if not _SYSTEM.search(f"{entry.words} {entry.text}"):
        warn(entry.number, f"the page does not say whose system the alternate meeting ID {entry.text!r} is")
    found = _MEETING_NUMBER.search(plain(entry.text))
    return found.group() if found else entry.text


def livestream_of(entry: Field, warn: Warn) -> Livestream:
    """The livestream of this field."""
    url, words = target_of(entry)
    if not url:
        _tell_of_lost_link(entry, words, warn)
    return Livestream(url=url, label=words)
