"""Links by the letter, whatever was typed."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.links import uri


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://a.example/[1]?x[]=2#b#c[d]", "https://a.example/%5B1%5D?x%5B%5D=2#b%23c%5Bd%5D"),
        ("https://a.example/x?y#", "https://a.example/x?y#"),
        ("https://a.example", "https://a.example"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://[2001:db8::1/x", ""),
        ("https://a.example:port/x", ""),
        ("https://ada:b@a.example:8443?x", "https://ada:b@a.example:8443?x"),
        ('https://a"b.example/|^`{}', "https://a%22b.example/%7C%5E%60%7B%7D"),
        (f"https://{'长' * 64}.example/", f"https://{quote('长' * 64)}.example/"),
        ("sip:张@a.example:5060;transport=tls", "sip:%E5%BC%A0@a.example:5060;transport=tls"),
        ("tel:+86-10-1234;ext=5", "tel:+86-10-1234;ext=5"),
        ("wemeet://page/inmeeting?meeting_code=1", "wemeet://page/inmeeting?meeting_code=1"),
        ("zoommtg:join?a=b", "zoommtg:join?a=b"),
    ],
)
def test_a_link_is_one_by_the_letter_or_none(url: str, link: str):
    assert uri(url) == link


def test_a_link_that_no_program_should_open_is_none():
    assert uri("javascript:alert(1)") == uri("not a link") == uri("//a.example/x") == uri("https:// a.example") == ""


@given(st.text())
def test_whatever_was_typed_is_a_link_or_none_and_stays_the_same(rest: str):
    link = uri(f"https://a.example/{rest}")
    assert (link.isascii(), uri(link)) == (True, link)
    if link:
        assert urlsplit(link).netloc == "a.example"
        assert not set(link) & set(' "<>[]\\^`{|},')
