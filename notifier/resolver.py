"""Names → what the DNS says of them, within seconds; or that nobody answered."""

from __future__ import annotations

from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
import dns.reversename

PATIENCE = 4.0  # seconds for one name, all servers and attempts together


class Resolver:
    """Asks these name servers, or those of the machine."""

    def __init__(self, servers: Sequence[str] = (), port: int = 53) -> None:
        try:
            self._resolver: dns.asyncresolver.Resolver | None = dns.asyncresolver.Resolver(configure=not servers)
        except (dns.exception.DNSException, OSError):
            self._resolver = None  # the machine knows of none
            return
        self._resolver.cache = dns.resolver.Cache()
        if servers:
            self._resolver.nameservers, self._resolver.port = list(servers), port

    async def records(self, kind: str, name: str) -> tuple[str, ...] | None:
        """The records of one kind (TXT, MX, A, AAAA, PTR) as text; none if there are none, None if nobody answered.

        Of an address, PTR gives the names.
        """
        match kind:
            case "TXT":
                return await self.texts(name)
            case "MX":
                return await self.mail_hosts(name)
            case "PTR":
                name = dns.reversename.from_address(name).to_text()
        answer = await self._ask(name, dns.rdatatype.from_text(kind))
        return None if answer is None else tuple(str(record).rstrip(".") for record in answer)

    async def texts(self, name: str) -> tuple[str, ...] | None:
        """The TXT records; none if the name or they are not there, None if no server answered."""
        answer = await self._ask(name, dns.rdatatype.TXT)
        return None if answer is None else tuple(b"".join(r.strings).decode("utf-8", "replace") for r in answer)

    async def mail_hosts(self, name: str) -> tuple[str, ...] | None:
        """The servers that take its mail, the preferred first; None if no server answered."""
        answer = await self._ask(name, dns.rdatatype.MX)
        if answer is None:
            return None
        found = sorted(answer, key=lambda record: (record.preference, record.exchange))
        return tuple(str(record.exchange).rstrip(".") or "." for record in found)

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer | tuple[()] | None:
        if self._resolver is None:
            return None
        try:
            return await self._resolver.resolve(name, kind, search=False, lifetime=PATIENCE)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError):
            return None
