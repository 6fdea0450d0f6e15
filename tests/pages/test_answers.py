"""Whatever is asked for, in whatever words: what must hold of every answer."""

from __future__ import annotations

import gzip

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pages import SNAPSHOT

from notifier import pages
from notifier.pages import Response

PATHS = [
    *SNAPSHOT.documents,
    *(name for name, _ in SNAPSHOT.pages if name.startswith("/")),
    "/sessions/2021-11-27",
    "/sessions/2021-11-27.ics",
    "/zh/",
    "/nothing",
    "/.well-known/caldav",
    "",
    "//",
    "/sessions/",
]
NOISE = st.text(st.characters(codec="latin-1"), max_size=60)
WEIGHT = st.sampled_from(["", ";q=0", ";q=1", ";q=0.5", ";q=0.001", " ; q=1.000", ";q=2", ";q=x", ";level=1"])
CODING = st.sampled_from(["br", "gzip", "x-gzip", "identity", "deflate", "zstd", "*", "GZIP", "x y"])
CODINGS = st.lists(st.tuples(CODING, WEIGHT).map("".join), max_size=5).map(", ".join)
TAGS = st.lists(
    st.sampled_from(["*", '""', '"x"', 'W/"x"', '"', "x", *(one.etag for one in SNAPSHOT.documents.values())]),
    max_size=4,
).map(",".join)
DATE = st.sampled_from(
    [
        "Wed, 24 Nov 2021 04:00:00 GMT",
        "Wednesday, 24-Nov-21 04:00:00 GMT",
        "Wed Nov 24 04:00:00 2021",
        "Wed, 00 Nov 2021 04:00:00 GMT",
        "Wed, 24 Nov 0000 04:00:00 GMT",
        "Wed, 24 Xyz 2021 99:99:99 GMT",
        "Wed, 24 Nov 9999 23:59:60 GMT",
    ]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "accept-encoding": CODINGS | NOISE,
        "accept-language": st.sampled_from(["zh", "en;q=0.1, zh-TW", "*", "de"]) | NOISE,
        "if-match": TAGS | NOISE,
        "if-none-match": TAGS | NOISE,
        "if-modified-since": DATE | NOISE,
        "if-unmodified-since": DATE | NOISE,
    },
)
QUERY = (
    st.lists(
        st.tuples(
            st.sampled_from(["past", "split", "lang", "alarm", "cancelled", "q", "year", "x"]),
            st.sampled_from(["all", "none", "90d", "0", "1", "talks", "zh", "-1", "15,30", "9" * 30, "%00", "²"])
            | NOISE,
        ).map("=".join),
        max_size=4,
    ).map("&".join)
    | NOISE
)
METHOD = st.sampled_from(["GET", "HEAD", "OPTIONS", "PROPFIND", "POST", "get", "BREW"])
DECODE = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}


def ask(method: str, path: str, query: str, headers: dict[str, str]) -> Response:
    return pages.answer(SNAPSHOT, method, path, query, headers)


@given(METHOD, st.sampled_from(PATHS) | NOISE, QUERY, HEADERS)
def test_every_answer_keeps_to_http(method, path, query, headers):
    answered = ask(method, path, query, headers)
    told = dict(answered.headers)
    assert len(told) == len(answered.headers), "a header twice"
    assert all(value.isprintable() and value.isascii() for value in told.values())
    match answered.status:
        case 200:
            assert method in ("GET", "HEAD")
            assert {"ETag", "Last-Modified", "Cache-Control", "Content-Type"} <= told.keys()
        case 304:
            assert method in ("GET", "HEAD")
            assert answered.body == b""
            assert {"ETag", "Last-Modified", "Cache-Control"} <= told.keys()
            assert headers.keys() & {"if-none-match", "if-modified-since"}
        case 412:
            assert (method in ("GET", "HEAD"), answered.body) == (True, b"")
            assert headers.keys() & {"if-match", "if-unmodified-since"}
        case 204:
            assert (method, answered.body, told["Allow"]) == ("OPTIONS", b"", "GET, HEAD, OPTIONS")
        case 405:
            assert told["Allow"] == "GET, HEAD, OPTIONS"
        case 308:
            assert (method in ("GET", "HEAD"), answered.body) == (True, b"")
            assert told["Location"].startswith("/")
        case status:
            assert status == 404
    if method == "GET" and answered.status != 304:
        assert told["Content-Length"] == str(len(answered.body))


@given(st.sampled_from(PATHS), QUERY, HEADERS)
def test_an_answer_agrees_with_the_others_to_the_same_address(path, query, headers):
    whole, told = ask("GET", path, query, headers), ask("HEAD", path, query, headers)
    assert (told.status, told.headers, told.body) == (whole.status, whole.headers, b"")
    language = {name: value for name, value in headers.items() if name == "accept-language"}
    plain = ask("GET", path, query, language)
    if whole.status == 412:
        assert plain.status == 200
    if whole.status == 200:
        coding = dict(whole.headers).get("Content-Encoding")
        assert DECODE[coding](whole.body) == plain.body
        asked = headers.get("accept-encoding", "").lower()
        assert coding is None or coding in asked or "*" in asked
        assert (dict(whole.headers)["ETag"] == dict(plain.headers)["ETag"]) is (coding is None)
        known = {**headers, "if-none-match": f'"other", W/{dict(whole.headers)["ETag"]}'}
        assert ask("GET", path, query, known).status == 304
    if whole.status == 304:
        assert plain.status == 200


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ("%s", 304),
        ("W/%s", 304),
        ('"a,b" ,, W/%s,', 304),
        ("*", 304),
        ("w/%s", 200),
        ("%sx", 200),
        ("x%s", 200),
        ("%s;q=1", 200),
        ("", 200),
    ],
)
def test_only_a_whole_entity_tag_is_known_again(tags, status):
    etag = dict(ask("GET", "/calendar.ics", "", {}).headers)["ETag"]
    assert ask("GET", "/calendar.ics", "", {"if-none-match": tags.replace("%s", etag)}).status == status
