"""The wall's judgement of addresses: what `ipaddress.is_global` gets wrong is in here by name."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.web import WallPolicy
from kit.web.addresses import Standing, judge, parse_address, parse_networks

DENIED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2400:3200::1",
    "2606:4700::1111",
    "2a00:1450::1",
    "3ffe::1",
    "3fff:1000::1",
]


@pytest.mark.parametrize("text", DENIED)
def test_address_is_denied_when_it_is_not_of_the_internet(text: str) -> None:
    assert judge(ip_address(text), allow=(), deny=()) is Standing.DENIED


@pytest.mark.parametrize("text", PUBLIC)
def test_address_is_public_when_it_is_of_the_internet(text: str) -> None:
    assert judge(ip_address(text), allow=(), deny=()) is Standing.PUBLIC


@given(st.ip_addresses(v=4))
def test_mapped_address_is_judged_as_the_ipv4_inside(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert judge(mapped, allow=(), deny=()) is judge(address, allow=(), deny=())
    assert parse_address(str(mapped)) == address


@given(st.ip_addresses())
def test_public_address_is_never_private_by_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    if judge(address, allow=(), deny=()) is Standing.PUBLIC:
        assert not any((address.is_loopback, address.is_private, address.is_link_local, address.is_multicast))


def test_allow_range_opens_only_itself() -> None:
    policy = WallPolicy(allow=WallPolicy.parse_allow("10.1.2.3, fd00:1::/32"))
    assert policy.standing(ip_address("10.1.2.3")) is Standing.ALLOWED
    assert policy.standing(ip_address("::ffff:10.1.2.3")) is Standing.ALLOWED
    assert policy.standing(ip_address("fd00:1::7")) is Standing.ALLOWED
    assert policy.standing(ip_address("10.1.2.4")) is Standing.DENIED
    assert policy.standing(ip_address("fd00:2::7")) is Standing.DENIED


def test_deny_range_beats_allow_range_and_public() -> None:
    policy = WallPolicy(allow=parse_networks("10.0.0.0/8"), deny=(ip_network("10.0.0.53/32"), ip_network("8.8.8.0/24")))
    assert policy.standing(ip_address("10.0.0.53")) is Standing.DENIED
    assert policy.standing(ip_address("10.0.0.54")) is Standing.ALLOWED
    assert policy.standing(ip_address("8.8.8.8")) is Standing.DENIED


def test_mapped_allow_range_is_read_as_the_ipv4_range() -> None:
    assert parse_networks("::ffff:10.0.0.0/104") == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_no_allow_range_is_read_from_empty_text(text: str) -> None:
    assert parse_networks(text) == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("10.0.0.0/8,localhost", "'localhost'"),
        ("10.1.2.3/8", "'10.1.2.3/8'"),
        ("10.0.0.0/33", "'10.0.0.0/33'"),
        ("0177.0.0.1", "'0177.0.0.1'"),
        ("10.0.0.1-10.0.0.9", "'10.0.0.1-10.0.0.9'"),
        ("*", "'\\*'"),
    ],
)
def test_allow_text_is_refused_by_naming_the_bad_entry(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_networks(text)
