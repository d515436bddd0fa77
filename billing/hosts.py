"""Which addresses a stranger may have us post to: public ones, and those that an operator allows by name.

Whoever says where messages go could otherwise have this program talk to what only it can reach: services on its own
machine and network, and the metadata service of a cloud. The networks that are nobody's, or not for everybody, are
those of IANA's special-purpose registries for IPv4 and IPv6 (as of October 2025) and RFC 6598.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar

from rates.errors import Fault

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_CLOSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers' customers (CGNAT); 100.100.100.200 is a metadata service
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; 192.0.0.192 is a metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnelling
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "168.63.129.16/32",  # public by number, and a cloud's own host by use
    )
)
_OPEN_6 = IPv6Network("2000::/3")  # all that is given out for everybody; ULA, link-local and multicast are not in it
_CLOSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_LOW_32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far messages may go: public addresses, and the networks that are `allowed`; `http`: also not encrypted."""

    REMEDY: ClassVar[str] = (
        "use a public address; TOLLBOOK_WEBHOOKS_ALLOW names networks of one's own that may be posted to"
    )

    allowed: tuple[Network, ...] = ()
    http: bool = False

    def refused(self, host: str) -> str | None:
        """Why a host may not be posted to, as far as it says by itself; None if it may, or is a name."""
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return self.why_not(address)

    def why_not(self, address: Address) -> str | None:
        """Why an address may not be posted to; None if it may."""
        if any(address in network for network in self.allowed):
            return None
        return None if is_public(address) else "is not a public address"


PUBLIC_ONLY = Reach()


def is_public(address: Address) -> bool:
    """Whether an address is for everybody. One that stands for an IPv4 address is as public as that."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    if address.scope_id is not None:
        return False
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    return address in _OPEN_6 and not any(address in network for network in _CLOSED_6)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, translated (RFC 6052), or tunnelled (RFC 3056)."""
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(number & _LOW_32)
    if address in _6TO4:
        return IPv4Address((number >> 80) & _LOW_32)
    return None


def networks(texts: Iterable[str]) -> tuple[tuple[Network, ...], list[Fault]]:
    """Networks as `10.0.0.0/8` or one address, and what is none."""
    found, faults = [], []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError:
            remedy = "write it as 10.0.0.0/8 or fd00::/8"
            faults.append(Fault(place="network", value=text, problem="is not a network", remedy=remedy))
    return tuple(found), faults
