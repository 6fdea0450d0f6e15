"""The words with which a page labels its fields, in two languages → what kind of field it is."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a field of a page is about; the value is what a person would call it."""

    TIME = "time"
    TITLE = "title"
    SPEAKER = "speaker"
    AFFILIATION = "affiliation"
    ABSTRACT = "abstract"
    BIO = "biography"
    REFERENCES = "references"
    SLIDES = "slides"
    REPLAY = "replay"
    HOMEPAGE = "homepage"
    MEETING = "meeting link"
    DOWNLOAD = "meeting download link"
    MEETING_ID = "meeting ID"
    PASSCODE = "passcode"
    ALTERNATE_ID = "alternate meeting ID"
    LIVESTREAM = "livestream"
    NOTICE = "notice"
    ORGANISERS = "organisers"
    UNKEPT = "unkept"  # known to be a label, so that it ends what stands before it; a talk list has no place for it
    TALK = "talk"  # `Talk 1`, 报告二: no content, but a new talk begins
    TEXT = "text"  # a line without a label


PROSE = frozenset({Kind.ABSTRACT, Kind.BIO, Kind.REFERENCES})
LINKS = frozenset({Kind.SLIDES, Kind.REPLAY, Kind.HOMEPAGE, Kind.MEETING, Kind.DOWNLOAD, Kind.LIVESTREAM})
ROOM = frozenset({Kind.MEETING, Kind.DOWNLOAD, Kind.MEETING_ID, Kind.PASSCODE, Kind.ALTERNATE_ID, Kind.LIVESTREAM})

# Lower case without spaces and signs; a plural s, a number behind (报告人1) and a language before (英文题目) are
# understood without being listed.
_WORDS = {
    Kind.TIME: (
        "time date when dateandtime datetime timeanddate talktime seminartime lecturetime schedule 时间 日期"
        " 报告时间 报告日期 会议时间 讲座时间 活动时间 直播时间 演讲时间 举办时间 日期时间 时间日期 时间地点"
        " 时间及地点 时间和地点 datum termin uhrzeit heure horaire fecha hora orario 日時"
    ),
    Kind.TITLE: (
        "title topic talktitle lecturetitle titleoftalk titleofthetalk reporttitle reporttopic subject talktopic"
        " theme 题目 标题 主题 报告题目 报告标题 报告主题 报告名称 讲座题目 讲座主题 讲座标题 演讲题目 演讲主题"
        " 讲题 课程题目 论题 titel thema vortragstitel titre intitulé título titolo 題目"
    ),
    Kind.SPEAKER: (
        "speaker reporter report presenter lecturer guest guestspeaker invitedspeaker keynotespeaker talkby"
        " instructor presentedby lecturedby speakername nameofspeaker nameofthespeaker 报告人 主讲人 嘉宾 讲者"
        " 主讲 演讲人 演讲者 报告者 讲师 主讲嘉宾 报告嘉宾 演讲嘉宾 主讲教师 主讲老师 授课教师 特邀嘉宾 特邀报告人"
        " 分享人 分享嘉宾 主讲专家 报告专家 报告人姓名 讲座嘉宾 讲演人"
        " ponente relatore relatrice 講演者 講師"
        " vortragende vortragender referent referentin sprecher orateur oratrice intervenant intervenante conférencier"
    ),
    Kind.AFFILIATION: (
        "affiliation institution institute institutionoforigin university organization organisation employer"
        " speakeraffiliation company 单位 所属单位 工作单位 所在单位 报告人单位 主讲人单位 讲者单位 嘉宾单位 机构"
        " 所属机构 所在机构 学校 报告单位"
    ),
    Kind.ABSTRACT: (
        "abstract summary talkabstract aboutthetalk aboutthistalk talksummary overview description synopsis 摘要"
        " 报告摘要 内容简介 内容摘要 报告内容 报告简介 讲座内容 讲座摘要 讲座简介 主要内容 演讲摘要 演讲内容"
        " 内容提要 报告提要 内容 内容介绍 zusammenfassung kurzfassung résumé resumen 概要"
    ),
    Kind.BIO: (
        "bio biography shortbio briefbio shortbiography biosketch aboutthespeaker aboutspeaker aboutthelecturer"
        " aboutthepresenter speakerbio speakerbiography speakerintroduction cv profile speakerprofile introduction"
        " aboutthereporter aboutreporter bioofthespeaker introductionofthespeaker introductiontothespeaker"
        " briefintroduction 简介 个人简介 报告人简介 主讲人简介 讲者简介 嘉宾简介 演讲人简介 演讲者简介 专家简介"
        " 讲师简介 作者简介 个人介绍 报告人介绍 主讲人介绍 讲者介绍 嘉宾介绍 专家介绍 个人简历 主讲简介 介绍"
    ),
    Kind.REFERENCES: (
        "reference bibliography relatedpaper relatedreading literature 参考文献 文献 参考资料 相关论文 相关文献"
    ),
    Kind.SLIDES: (
        "slide ppt pdf talkslide presentation presentationslide handout lecturenote download 课件 幻灯片 讲义"
        " 报告ppt 演示文稿 报告课件 报告幻灯片 课件下载 下载 下载链接 幻灯"
    ),
    Kind.REPLAY: (
        "replay video recording playback talkvideo videorecording recordedvideo videolink replaylink"
        " recordinglink recordedtalk record videoreplay 回放 视频 录像 录播 录屏 回放链接 视频回放 直播回放"
        " 报告回放 录像回放 报告视频 视频链接 回放视频 回看 观看回放 回放地址 视频地址"
    ),
    Kind.HOMEPAGE: (
        "homepage website webpage personalpage personalhomepage personalwebsite personalwebpage speakerhomepage"
        " web url site speakerwebsite 主页 个人主页 网页 个人网页 网站 个人网站 报告人主页 主讲人主页 讲者主页"
        " 嘉宾主页 个人网址 主页链接"
    ),
    Kind.MEETING: (
        "meetinglink meetingurl joinlink join link meeting joinmeeting onlinemeeting onlinelink onlinemeetinglink"
        " joinurl conferencelink webinarlink tencent zoom teams 会议链接 会议地址 入会链接 参会链接 参会方式"
        " 参与方式 线上会议 在线会议 会议 会议网址 线上参会 点击链接入会 入会方式 会议入口 报告链接"
        " 点击链接入会或添加至会议列表 线上链接 链接"
    ),
    Kind.DOWNLOAD: (
        "meetingdownloadlink downloadmeeting meetingdownload downloadtencentmeeting downloadlinkoftencentmeeting"
        " clientdownload clientdownloadlink downloadclient 客户端下载 会议客户端下载 会议下载链接 软件下载 软件下载链接"
        " 会议软件下载 客户端下载链接 会议下载 会议客户端"
    ),
    Kind.MEETING_ID: (
        "meetingid meetingnumber meetingno meetingcode conferenceid webinarid roomid roomnumber id 会议号 会议id"
        " 会议号码 会议编号 会议房间号 房间号 号 号码 会议代码"
    ),
    Kind.PASSCODE: (
        "password passcode meetingpassword meetingpasscode pwd accesscode pin 密码 会议密码 入会密码 参会密码"
        " 口令 入会口令 会议口令 房间密码"
    ),
    Kind.ALTERNATE_ID: (
        "alternatemeetingid alternateid alternativemeetingid alternativeid backupmeetingid backupid"
        " sparemeetingid spareid alternatemeeting backupmeeting secondmeetingid 备用会议号 备用会议id 备用会议"
        " 备用id 备用号 备用会议号码 备选会议号 备用房间号"
    ),
    Kind.LIVESTREAM: (
        "livestream live livestreaming livingroom liveroom livebroadcast livelink broadcast streaming stream"
        " livestreamlink bilibili bilibililive bilibililivingroom bilibililiveroom bilibiliroom webcast"
        " livestreamroom 直播 直播间 直播链接 直播地址 在线直播 直播平台 直播网址 b站 b站直播 b站直播间"
        " bilibili直播 bilibili直播间 哔哩哔哩 哔哩哔哩直播 哔哩哔哩直播间 直播间链接 线上直播 直播间号"
        " b站直播链接 同步直播"
    ),
    Kind.NOTICE: "notice status announcement 状态 通知 公告 报告状态 备注 特别通知",
    Kind.ORGANISERS: (
        "organizingcommittee organisingcommittee organizer organiser organizedby organisedby committee"
        " organizationcommittee seminarorganizer seminarorganiser 组委会 组织者 组织委员会 组织人 召集人 发起人"
        " 组织委员 会议组织者 组委会成员"
    ),
    Kind.UNKEPT: (
        "venue location place room address where host hostedby chair moderator contact language keyword sponsor"
        " email phone tel series category note-taker cohost inviter invitedby organizinginstitution audience fee"
        " registration 地点 地址 报告地点 会议地点 讲座地点 举办地点 活动地点 主持 主持人 邀请人 联系人 联系方式"
        " 主办 主办单位 承办 承办单位 协办单位 协办 语言 关键词 报名 报名方式 邮箱 电话 职称 职务 会议主题"
        " 研究方向 线下地点 校内联系人 讲座语言 形式 方式 人数 对象 费用 学分 校区"
        " raum ort salle lieu lugar sala aula 場所 format mode platform attendance meetingformat eventformat"
    ),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}
# 会议形式, 举办方式, 面向对象, 直播平台: whatever stands before, none of these says anything that a talk list keeps.
_UNKEPT_ENDS = ("形式", "方式", "平台", "对象", "人数", "语言", "费用", "单位", "部门", "负责人", "联系人")
_LONGEST_UNKEPT = 8  # characters; a longer phrase may be a title

_SYSTEM = re.compile(
    r"^(?:tencent|tecent|wemeet|voov|zoom|teams|microsoftteams|webex|feishu|lark|googlemeet|dingtalk|skype"
    r"|腾讯|飞书|钉钉|瞩目)"
)
_LANGUAGE = re.compile(r"^(?:english|chinese|中文|英文)|(?:in)?(?:english|chinese)$|(?:中文|英文)$")
_PARENTHESES = re.compile(r"[(（【\[]([^()（）【】\[\]]*)[)）】\]]")
_NUMBER = re.compile(r"(?:\d{1,2}|[一二三四五六])$")
_HALVES = re.compile(r"\s*[/|&＆]\s*|(?<=[\u2e80-\u9fff])\s*(?=[A-Za-z])|(?<=[A-Za-z])\s*(?=[\u2e80-\u9fff])")

# `Talk 1`, `Lecture 2: …`, 报告一, 第3场: begins a talk and says nothing else of it.
_TALK = re.compile(
    r"^\W*(?:(?:talk|lecture|speech|presentation)\s?(?:no\.?\s?|#)?(?:\d{1,3}\b|(?-i:[IVX]{1,4}\b))"
    r"|(?:session|seminar)\s?(?:no\.?\s?|#)?\d{1,3}\b"
    r"|(?:no\.\s?|#)\d{1,3}(?=\W*$)"
    r"|(?:报告|讲座|演讲)\s?(?:\d{1,2}|[一二三四五六七八九十])"
    r"|第\s?(?:\d{1,3}|[一二三四五六七八九十]{1,3})\s?[场期次](?:报告|讲座|讨论班)?)"
    r"\s*(?P<sign>[:：.、|—–-]|(?=[(（])|$)\s*(?P<rest>.*)$",
    re.IGNORECASE,
)
_DECORATION = re.compile(
    r"^(?:[\s#>*_•·▪■◆◇●○►▶➤★☆✦|–-]|[\U0001f300-\U0001faff\u2600-\u27bf]\ufe0f?)+"
    r"|^[(（]?(?:\d{1,2}|[一二三四五六七八九十])[)）.、．]\s*"
)
_BRACKETS = re.compile(r"^[【［〖\[「]\s*([^】］〗\]」]{1,40}?)\s*[】］〗\]」]\s*[:：]?\s*(.*)$", re.DOTALL)
_BOLD = re.compile(r"^\W{0,4}?(\*{1,3}|_{1,3})([^*_\n]{1,60}?)\1\s*[:：]?\s*(.*)$", re.DOTALL)
_BOLD_END = re.compile(r"^\*{2,3}\s*")
_COLON = re.compile(r"(?<!\d)[:：∶﹕︰]|[:：∶﹕︰](?!\d\d)")  # but not the one of 13:00
_LONGEST = 60  # characters; no label is longer, however it is decorated


@dataclass(frozen=True, slots=True)
class Label:
    """A label found at the start of a line: its kind, its words, what stands in its parentheses, and the value.

    `is_firm` is False where no colon, bold type, bracket or TAB parts it from the value, so that it might be prose.
    """

    kind: Kind
    words: str
    value: str
    is_firm: bool = True


def find_label(text: str) -> Label | None:
    """The known label with which this line starts, if it starts with one."""
    return _bracketed(text) or _with_colon(text) or _bold(text) or _bare(text) or _talk(text)


def kind_of(words: str) -> Kind | None:
    """The kind of field that these words label, whatever their case, plural, spaces and parentheses."""
    return _kind_of(words) if len(words) <= _LONGEST else None


def known_labels() -> str:
    """A few of the accepted labels, to tell people what was looked for."""
    return "Time/时间, Title/Topic/题目, Reporter/Speaker/报告人"


def _bracketed(text: str) -> Label | None:
    found = _BRACKETS.match(_undecorated(text))
    kind = kind_of(found[1]) if found else None
    return Label(kind, found[1], found[2]) if found and kind else None


def _with_colon(text: str) -> Label | None:
    colon = _COLON.search(text, 0, _LONGEST)
    if not colon:
        return None
    words = _undecorated(text[: colon.start()])
    kind = kind_of(words) if words else None
    if kind is None:
        return None
    # In `**Time:** 9:30` the bold type ends behind the colon; in `**Title**: *Sums*` the value has type of its own.
    is_open = text.count("**", 0, colon.start()) % 2
    value = text[colon.end() :].strip()
    return Label(kind, words.strip(" *_#"), _BOLD_END.sub("", value) if is_open else value)


def _bold(text: str) -> Label | None:
    found = _BOLD.match(text[:_LONGEST])
    kind = kind_of(found[2].rstrip(" :：")) if found else None
    return Label(kind, found[2], text[found.start(3) :].strip()) if found and kind else None


def _bare(text: str) -> Label | None:
    """A label with a TAB behind it, alone on its line, or (not firm) with a space behind it."""
    words, tab, value = text.partition("\t")
    if tab and (kind := kind_of(_undecorated(words))):
        return Label(kind, words.strip(), value.strip())
    bare = _undecorated(text)
    if len(bare) <= _LONGEST and (kind := kind_of(bare)):
        return Label(kind, bare, "", is_firm=False)
    return next(_spaced(bare[:_LONGEST], bare), None)


def _spaced(start: str, text: str) -> Iterator[Label]:
    for space in list(re.finditer(r"\s", start))[:3][::-1]:
        if kind := kind_of(start[: space.start()]):
            yield Label(kind, start[: space.start()], text[space.end() :].strip(), is_firm=False)


def _talk(text: str) -> Label | None:
    found = _TALK.match(text) if len(text) < 400 else None
    if not found:
        return None
    # In `**报告1：** 高阶格式` the bold type ends behind the colon.
    return Label(Kind.TALK, text[: found.start("sign")].strip(), _BOLD_END.sub("", found["rest"]))


def _undecorated(text: str) -> str:
    before = ""
    while text != before:
        before, text = text, _DECORATION.sub("", text, count=1)
    return text.rstrip(" \t*_")


@functools.lru_cache(4096)
def _kind_of(words: str) -> Kind | None:
    plain = unicodedata.normalize("NFKC", words).casefold()
    inside = _PARENTHESES.findall(plain)
    bare = _PARENTHESES.sub(" ", plain)
    kinds = [_of_key(_key(half)) for half in _HALVES.split(bare) if half.strip()]
    kind = kinds[0] if len(kinds) > 1 and all(kinds) else _of_key(_key(bare))
    if kind is Kind.MEETING_ID and any("no password" in text or "备用" in text for text in inside):
        return Kind.ALTERNATE_ID
    return kind


def _key(words: str) -> str:
    return "".join(ch for ch in words if ch.isalnum())


def _of_key(key: str) -> Kind | None:
    for form in _forms(key):
        if kind := _KINDS.get(form) or _KINDS.get(form.removesuffix("s")):
            return kind
    return Kind.UNKEPT if key.endswith(_UNKEPT_ENDS) and len(key) <= _LONGEST_UNKEPT else None


def _forms(key: str) -> Iterator[str]:
    yield key
    yield _NUMBER.sub("", key)
    yield _LANGUAGE.sub("", key)
    without_system = _SYSTEM.sub("", key)
    if without_system != key:
        yield without_system or "meeting"
