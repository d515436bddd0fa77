"""Which addresses a stranger may have us post to."""

from ipaddress import ip_address

import pytest

from billing.hosts import PUBLIC_ONLY, Reach, is_public, networks

CLOSED = [
    "0.0.0.0",  # noqa: S104 (not bound to, but refused)
    "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.8.8.8", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:db8::1",
    "2002:7f00:1::1", "2002:0a00:0001::1", "2002:a9fe:a9fe::", "2002:c0a8:0101::1", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
OPEN = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "128.0.0.1", "169.253.255.255",
    "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:82a::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:0808:0808::1",
]  # fmt: skip


@pytest.mark.parametrize("text", CLOSED)
def test_what_only_we_could_reach_is_not_posted_to(text: str) -> None:
    assert not is_public(ip_address(text))
    assert "is not a public address" == PUBLIC_ONLY.refused(text)


@pytest.mark.parametrize("text", OPEN)
def test_what_everybody_can_reach_is_posted_to(text: str) -> None:
    assert is_public(ip_address(text))
    assert PUBLIC_ONLY.refused(text) is None


def test_nothing_that_python_knows_as_private_counts_as_public() -> None:
    """Another table than ours, of another hand: it may be older, so ours may refuse more."""
    for first in range(256):
        for second in range(256):
            address = ip_address(f"{first}.{second}.77.1")
            assert address.is_global or not is_public(address), address


def test_a_link_of_this_machine_is_not_public() -> None:
    assert not is_public(ip_address("2606:4700:4700::1111%eth0"))


def test_networks_of_ones_own_are_allowed_by_name_and_nothing_beside_them() -> None:
    allowed, faults = networks(["10.1.0.0/16", " fd00:1::/32", "127.0.0.1"])
    reach = Reach(allowed=allowed)
    assert ([], [None] * 3) == (faults, [reach.refused(each) for each in ("10.1.2.3", "fd00:1::5", "127.0.0.1")])
    assert all(reach.refused(each) for each in ("10.2.0.1", "fd00:2::5", "127.0.0.2", "::ffff:127.0.0.1"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "localhost", ""])
def test_what_is_no_network_is_a_fault(text: str) -> None:
    assert 1 == len(networks([text])[1])
