"""Who asks, and whose word is taken for it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.networks import Proxies, neighbours

OURS = Proxies.parse(["127.0.0.1", "::1", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),  # a stranger vouches for nobody
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),  # the first was written by the client
        ("127.0.0.1", "203.0.113.9, 198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("127.0.0.1", "10.1.2.4,10.1.2.3", "10.1.2.4"),
        ("::1", "198.51.100.1:4711", "198.51.100.1"),
        ("::1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, _hidden", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1,,", "127.0.0.1"),
    ],
)
def test_who_asks_is_the_nearest_for_whom_nobody_vouches(peer, forwarded_for, client):
    assert OURS.client(peer, forwarded_for) == ip_address(client)


def test_who_comes_through_a_unix_socket_is_believed_only_where_that_is_said():
    assert OURS.client(None, "198.51.100.1") is None
    assert Proxies.parse(["unix"]).client(None, "198.51.100.1") == ip_address("198.51.100.1")
    assert Proxies.parse(["unix"]).client(None, "") is None
    assert Proxies.parse(["unix"]).client("198.51.100.1", "203.0.113.9") == ip_address("198.51.100.1")


@given(st.text() | st.from_regex(r"[0-9a-f:.,\[\] %]{0,60}", fullmatch=True))
def test_no_header_makes_a_stranger_anyone_else(forwarded_for):
    assert OURS.client("192.0.2.7", forwarded_for) == ip_address("192.0.2.7")
    assert OURS.client("127.0.0.1", forwarded_for) is not None


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.7", "192.0.2.0/24"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("fe80::1", "fe80::/64")],
)
def test_neighbours_are_those_who_share_a_line(address, network):
    assert neighbours(ip_address(address)) == ip_network(network)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "", "300.1.1.1"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError):
        Proxies.parse([text])
