"""What a page writes after `Reporter:` or `Affiliations:` → speakers, and the institutions they belong to.

A comma may part two people, or a person from an institution; parentheses may hold a name's other script, or an
institution. What decides: the words of the piece (大学, University), its script beside the name's, and whether it has
the shape of a name.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from babel import Locale

_INSTITUTION = re.compile(
    r"\b(?:univ|universit\w*|college|school|institut\w*|academy|academia|laborator\w*|labs?|dep(?:ar)?t\w*"
    r"|centers?|centres?|faculty|facult\w*|research|compan\w*|corp\w*|inc|ltd|llc|gmbh|co|technolog\w*|tech|group"
    r"|hospital|polytechnic\w*|hochschule|école|ecole|foundation|observatory|society|agency|bureau|ministry|bank"
    r"|google|microsoft|meta|facebook|deepmind|openai|huawei|tencent|alibaba|damo|bytedance|baidu|nvidia|amazon|apple"
    r"|ibm|intel|inria|cnrs|caltech|kaust|epfl|virginia tech|georgia tech"
    r"|(?-i:ETH|MIT|ENS|NYU|CMU|UCLA|UCSD|UCSB|UCL|UIUC|USC|NUS|NTU|HKU|HKUST|CUHK|CityU|PolyU|USTC|SJTU|PKU|CAS|AMSS"
    r"|BICMR|IIT|TUM|KTH|RWTH|MPI|UNC|UC|UT|UW|TU|LMU|LSE|KCL|UBC|SUNY|CUNY|RIKEN|NIST|NASA))\b",
    re.IGNORECASE,
)
_INSTITUTION_ZH = re.compile(
    r"大学|学院|研究(?!员)|中心|公司|科技|实验室|集团|科学院|中科院|社科院|医院|学校|学部|学会|银行|高校|书院|工程院|天文台"
    r"|国家队|事业部|北大|清华|复旦|浙大|交大|科大|达摩院|华为|腾讯|阿里|百度|字节|微软|谷歌|[系所院校部局]$"
)
_RANK = re.compile(
    r"ph\.?\s?d\.?|dr\.?|m\.?d\.?|m\.?sc\.?|(?:(?:associate|assistant|full|chair|adjunct|visiting|distinguished|research)\s)*"
    r"(?:professor|prof\.?|fellow|scientist|researcher|lecturer|director|engineer|student|postdoc\w*)"
    r"|(?:副|助理|讲席|特聘|客座|长聘|青年|博士后)?(?:教授|研究员|讲师|院士|博士|博士后|博士生|硕士生|工程师|院长|主任|所长)",
    re.IGNORECASE,
)
_TITLES = re.compile(
    r"\b(?:ph\.?d|f?ieee|fellow|board|member|chair|editor|ae for|professor|acm)\b|教授|院士", re.IGNORECASE
)
_ACRONYM = re.compile(r"(?=(?:.*[A-Z]){2})[A-Z][A-Za-z]{0,2}[A-Z.&/-]*[A-Z]?")
_NAME_WORD = re.compile(r"[^\W\d_][\w'’.-]*")
_PARTICLE = re.compile(r"d[aeiou]|del|della|van|von|de[rn]|la|le|el|al|bin|ter|dos")
_CJK = re.compile("[\u2e80-\u9fff]")
_FOOTNOTE = re.compile(r"(?<=\w)\s?\^?[\d*†‡§](?:\s?,\s?[\d*†‡§])*$")
# Beside a name, how somebody talks, which is nowhere to work.
_WAY = re.compile(
    r"\s*(?:(?:via|on|by|over)\s)?(?:board|chalk|blackboard|slide|online|virtual(?:ly)?|remote(?:ly)?|zoom|teams"
    r"|in[- ]person|on-?site|hybrid"
    r"|local|speaker|host|chair|tentative|线上|在线|线下|远程|视频)(?:\s(?:talk|only))?\s*",
    re.IGNORECASE,
)
# Words that stand in titles of talks, and of sessions, and that nobody is called; by their ends or by themselves.
_NO_NAME = re.compile(
    r"\b(?:\w{3,}(?:tions?|sions?|ology|ometry|ities|icity|ivity|ality|ability|isms?|ical|ional|yses|ysis|amics|etics"
    r"|istics|works)|\w{4,}ments?"
    r"|learning|computing|processing|modell?ing|sampling|scaling|training|coding|reasoning|grokking|mixing|tuning"
    r"|deep (?=learn|neural)|neural|graphs?|quantum|random|stochastic|spectral|optimal|robust|causal|bayesian|gaussian"
    r"|(?:non)?linear|nonlocal|global|discrete|convex|sparse|modern|recent|applied|numerical|fairness|robustness"
    r"|theor(?:y|em|ems|ies)|methods?|models?|data|systems?|process(?:es)?|spaces|groups?|algebras?|analysis|physics"
    r"|mathematics|problems?|flows?|transport|chains|matri(?:x|ces)|tensors?|kernels?|trees|nets|languages?|vision"
    r"|attention|transformers?|algorithms?|inference|sciences?|intelligence|surfaces?|manifolds?|curves|knots|numbers"
    r"|primes|forms|waves|particles?|energy|seminars?|session|meetings?|workshops?|colloquium|lectures?|talks?|club"
    r"|defen[cs]e|discussion|series|panel|lunch|coffee|break|week|papers?|topics?|title|speakers?|survey|overview)\b",
    re.IGNORECASE,
)
_SPACED_NAME = re.compile("(?<=^[\u4e00-\u9fff]) (?=[\u4e00-\u9fff](?: |$))")  # 苏 晴, as wide as a name of three signs
_BETWEEN = re.compile(r"\s*[;；、\t\n|]\s*")
_AND = re.compile(r"\s*,?\s(?:[&＆]|and|及|和|与)\s\s*", re.IGNORECASE)
_COMMA = re.compile(r"\s*[,，]\s*")
_FROM = re.compile(r"\s+(?:from|at|@)\s+|\s*@\s*|\s+[-–—/]+\s+", re.IGNORECASE)
_ITEMS = re.compile(r"\s*[;；、\n]\s*")
_ENUMERATOR = re.compile(r"^(?:[(\[（]?\d{1,2}[)\].）、]\s*|[-*•·]\s+|\^\d\s*)")
_NOBODY = re.compile(
    r"\W*(?:(?:title|speaker|topic|题目|报告人)\W+(?=tb[adc]|待定))?"
    r"(?:(?:tb[adc]|n\.?\s?n\.|à venir|à préciser|n/?a|none|to be (?:announced|determined|confirmed|decided)"
    r"|coming soon|unknown"
    r"|待定|未定|待通知|待公布|待确认|待更新|敬请期待|暂无|暂缺|无|即将公布)(?:\W+|$))*",
    re.IGNORECASE,
)

_SURNAMES = frozenset(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方"
    "俞任袁柳鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧"
    "计伏成戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯管卢莫"
    "房裘缪干解应宗丁宣邓郁单杭洪包诸左石崔吉龚程邢裴陆荣翁荀羊甄曲封储靳井段富巫乌焦巴弓牧山谷车侯宓蓬全班仰秋仲伊"
    "宫宁仇栾甘厉戎祖武符刘景詹束龙叶幸司韶黎薄印白怀蒲邰从鄂索赖卓蔺屠蒙池乔阴胥苍双闻党翟谭劳姬申扶堵冉宰雍桑桂濮"
    "牛寿通边扈燕冀浦尚农温别庄晏柴瞿阎充慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步都耿满弘匡国文寇广禄东欧沃利蔚越隆"
    "师巩聂晁勾敖融冷辛阚那简饶曾沙养须丰巢关查红游竺权盖益桓公肖闫付岳代覃涂佟苑仝鹿揭商牟佘佴缑琴晋楚佟闻帅初娜楼"
)
_COMPOUND = re.compile("欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|司徒|夏侯|长孙|宇文|端木")
_CITY = re.compile(
    r"los angeles|berkeley|san diego|santa barbara|davis|irvine|new york|new jersey|california|massachusetts|madison"
    r"|boston|austin|ann arbor|u\.?s\.?a?\.?|u\.?k\.?|hong kong|p\.?r\.? china|shanghai|beijing|shenzhen|hefei|wuhan"
    r"|hangzhou|nanjing|guangzhou|suzhou|tianjin|paris|london|tokyo|kyoto|zurich|berlin|munich|bonn|seoul|taipei",
    re.IGNORECASE,
)


@dataclass
class Person:
    """A speaker as far as one line tells."""

    name: str
    affiliations: list[str] = field(default_factory=list)


def is_nobody(text: str) -> bool:
    """Whether the text stands for what is not known yet: TBA, 待定, a dash, or nothing."""
    return _NOBODY.fullmatch(text) is not None


def has_cjk(text: str) -> bool:
    """Whether Chinese characters are in the text."""
    return _CJK.search(text) is not None


def is_institution(text: str) -> bool:
    """Whether the text has a word or the shape of an institution."""
    if _INSTITUTION.search(text) or _INSTITUTION_ZH.search(text):
        return True
    return _ACRONYM.fullmatch(text) is not None and not has_cjk(text)


def names_only_titles(affiliation: str) -> bool:
    """Whether what stands under affiliations are degrees and offices, and no institution."""
    return not is_institution(affiliation) and _TITLES.search(affiliation) is not None


def affiliations(text: str) -> list[str]:
    """The institutions of a text, one for each line, semicolon or 、; commas part only what belongs to one."""
    items = (_ENUMERATOR.sub("", item.strip()).rstrip(" ,，;；") for item in _ITEMS.split(text))
    return [item for item in items if item and not is_nobody(item)]


def people(text: str) -> tuple[list[Person], list[str]]:
    """The speakers of a line with the institutions it names, and the pieces that are neither."""
    found: list[Person] = []
    homeless: list[str] = []  # institutions before any name: 北京大学 董彬
    left: list[str] = []
    for group in _groups(text):
        for piece, is_person in _judged(group):
            if is_person:
                name, inside = _name_and_parentheses(piece)
                left += filter(_RANK.fullmatch, inside)
                found.append(Person(name, [*homeless, *(place for place in inside if not _RANK.fullmatch(place))]))
                homeless = []
            elif _RANK.fullmatch(piece):
                left.append(piece)
            elif found:
                found[-1].affiliations += affiliations(piece)
            else:
                homeless += affiliations(piece)
    return found, left + homeless


def _groups(text: str) -> list[str]:
    """The text cut where people are parted for certain; 、 between institutions of one person parts them, too."""
    groups: list[str] = []
    for group in split_outside_parentheses(_BETWEEN, text):
        *before, last = split_outside_parentheses(_AND, group)
        if before and all(_ends_in_name(part) for part in before) and _starts_with_name(last):
            groups += [*before, last]
        else:  # School of Data Science and Engineering
            groups.append(group)
    return [group for group in groups if group]


def _ends_in_name(text: str) -> bool:
    return has_name_shape(_outside(text.rsplit(",", 1)[-1]))


def _starts_with_name(text: str) -> bool:
    return has_name_shape(_outside(text.split(",", 1)[0]))


def split_outside_parentheses(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """The stripped pieces of a text between the matches of a pattern, none of which lies in parentheses."""
    masked = _masked(text)
    start = 0
    for found in pattern.finditer(masked):
        yield text[start : found.start()].strip()
        start = found.end()
    yield text[start:].strip()


def _masked(text: str) -> str:
    """The text with everything inside parentheses blotted out, of the same length."""
    depth, out = 0, []
    for ch in text:
        depth += ch in "(（"
        out.append("\x00" if depth else ch)
        depth -= ch in ")）" and depth > 0
    return "".join(out)


def _judged(group: str) -> list[tuple[str, bool]]:
    """The pieces of a group between commas, each with whether it is a person; an institution keeps its commas."""
    raw = [piece for piece in split_outside_parentheses(_COMMA, group) if piece]
    if len(raw) == 2 and all(_is_one_latin_word(piece) for piece in raw):
        return [(group, True)]  # Dong, Bin
    pieces = [part for piece in raw for part in _spaced(piece)]
    out: list[tuple[str, bool]] = []
    for index, piece in enumerate(pieces):
        follows = bool(out) and not out[-1][1] and not _RANK.fullmatch(out[-1][0])
        is_person = _is_person(piece, first=not any(person for _, person in out))
        if is_person and follows and _is_place(piece):
            is_person = False
        if not is_person and follows and not has_cjk(piece):
            out[-1] = (f"{out[-1][0]}, {piece}", False)
        else:
            out.append((piece, is_person and not (index and _RANK.fullmatch(piece))))
    return out


def _spaced(piece: str) -> list[str]:
    """A piece cut where only a space or `from` parts the person from the institution: 董彬 北京大学."""
    around = [part for part in split_outside_parentheses(_FROM, piece) if part]
    if len(around) == 2 and is_institution(around[1]) and not is_institution(_masked(around[0])):
        return around
    words = piece.split()
    if len(words) == 2 and all(map(has_cjk, words)):
        institutions = [bool(_INSTITUTION_ZH.search(_masked(word))) for word in words]
        if institutions[0] != institutions[1]:
            return words
    return [piece]


def _is_person(piece: str, *, first: bool) -> bool:
    outside = _outside(piece)
    if is_institution(outside) and not _looks_like_initials(outside):
        return False
    if has_name_shape(outside):
        return True
    return first and not _RANK.fullmatch(piece)


def _looks_like_initials(text: str) -> bool:
    return False if " " not in text else all(len(word.strip(".")) == 1 for word in text.split()[:-1])


def _outside(piece: str) -> str:
    return _FOOTNOTE.sub("", " ".join(_masked(piece).replace("\x00", " ").split()))


def has_name_shape(text: str) -> bool:
    """Whether a text could be a person's name: a Chinese name by its surname, a Latin one by two to five words."""
    if has_cjk(text):
        return is_chinese_name(text)
    words = text.split()
    if not 2 <= len(words) <= 5 or is_institution(text):
        return False
    return all(_NAME_WORD.fullmatch(w) for w in words) and all(
        w[0].isupper() or _PARTICLE.fullmatch(w) or i for i, w in enumerate(words)
    )


def is_proper_name(text: str) -> bool:
    """Whether a text without a label is a person's name rather than `Deep learning`, `Deep Nets` or `Guest Lecture`.

    A name has capitals, and none of the words that only titles have.
    """
    has_capitals = all(not w[0].islower() or _PARTICLE.fullmatch(w) for w in text.split())
    return has_name_shape(text) and has_capitals and _NO_NAME.search(text) is None


def is_chinese_name(text: str) -> bool:
    """Whether the text is a surname in Chinese with a given name, and nothing but a title beside it."""
    bare = re.sub(r"\s|教授|博士|老师|研究员|院士|先生|女士|副$", "", unicodedata.normalize("NFKC", text))
    latin = re.sub(r"[\u2e80-\u9fff·]", "", bare)
    bare = re.sub(r"[A-Za-z.\-]", "", bare)
    if _INSTITUTION_ZH.search(bare) and len(bare) > 3:
        return False
    if "·" in bare:
        return True
    if latin and not bare:
        return False
    has_long_surname = _COMPOUND.match(bare) is not None and len(bare) <= 4
    return has_long_surname or (bare[:1] in _SURNAMES and 2 <= len(bare) <= 3)


def _is_one_latin_word(piece: str) -> bool:
    return " " not in piece and not has_cjk(piece) and not is_institution(piece) and piece[:1].isupper()


@functools.cache
def _countries() -> frozenset[str]:
    return frozenset(name.lower() for name in Locale("en").territories.values())


def _is_place(piece: str) -> bool:
    return _CITY.fullmatch(piece) is not None or piece.lower() in _countries()


def _name_and_parentheses(piece: str) -> tuple[str, list[str]]:
    """The name as written, with its second script but without the institutions that its parentheses hold."""
    found: list[str] = []

    def keep(match: re.Match[str]) -> str:
        items = [item for item in re.split(r"\s*[,，;；、]\s*", match["inside"]) if item]
        if items and _belongs_to_name(items[0], _outside(piece)):
            found.extend(_rejoined(items[1:]))
            return str(match.group()) if len(items) == 1 else f"{match['open']}{items[0]}{match['close']}"
        found.extend([] if _WAY.fullmatch(match["inside"]) else _institutions_inside(match["inside"], items))
        return " "

    name = re.sub(r"(?P<open>[(（])(?P<inside>[^()（）]*)(?P<close>[)）])", keep, piece)
    return _SPACED_NAME.sub("", _FOOTNOTE.sub("", " ".join(name.split()))), found


def _institutions_inside(inside: str, items: list[str]) -> list[str]:
    # Chinese uses the comma between institutions; in English it stands inside one.
    return affiliations(inside) if not has_cjk(inside) else _rejoined(items)


def _rejoined(items: list[str]) -> list[str]:
    return items if any(map(has_cjk, items)) or not items else [", ".join(items)]


def _belongs_to_name(inside: str, name: str) -> bool:
    if is_institution(inside):
        return False
    if has_cjk(inside) != has_cjk(name):
        return is_chinese_name(inside) if has_cjk(inside) else _is_latin_name(inside)
    return False


def _is_latin_name(text: str) -> bool:
    words = text.split()
    return 1 <= len(words) <= 5 and all(_NAME_WORD.fullmatch(word) and word[0].isupper() for word in words)
