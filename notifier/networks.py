"""Peer and headers → the address of who asks, also behind the proxies that may speak for others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNIX = "unix"  # stands for whoever comes through a socket of this machine, which has no address


@dataclass(frozen=True, slots=True)
class Proxies:
    """Whose word about others is taken: that of these networks and, if so, of who comes through a unix socket."""

    networks: tuple[Network, ...] = ()
    has_unix: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Proxies:
        """From addresses, networks like `10.0.0.0/8`, and `unix`. Raises ValueError on anything else."""
        named = tuple(texts)
        return cls(tuple(ip_network(text) for text in named if text != UNIX), UNIX in named)

    def trust(self, address: Address | None) -> bool:
        """Whether this peer may say for whom it asks; None is one without an address."""
        return self.has_unix if address is None else any(address in network for network in self.networks)

    def client(self, peer: str | None, forwarded_for: str) -> Address | None:
        """Who asks: the nearest to us in `X-Forwarded-For` for whom nobody vouches, else the peer itself.

        What stands before that one was written by strangers, so that it is not even read. None is somebody on this
        machine, through a unix socket.
        """
        address = _address(peer or "")
        for hop in reversed(forwarded_for.split(",")):
            if not self.trust(address) or (named := _address(hop)) is None:
                break
            address = named
        return address


NOBODY = Proxies()


def neighbours(address: Address) -> Network:
    """The network that one household or office has to itself: a /24, or a /64 where addresses abound."""
    return ip_network((address, 24 if address.version == 4 else 64), strict=False)


def _address(text: str) -> Address | None:
    """The address in any of the forms that proxies write, or None."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # what a socket for both calls an IPv4 address
