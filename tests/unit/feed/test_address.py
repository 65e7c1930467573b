"""Addresses as they stand in settings."""

import pytest

from ticketflow.feed import Address, BadAddress, parse_addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("billing:7000", Address("billing", 7000)),
        (" 10.0.0.1:1 ", Address("10.0.0.1", 1)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


def test_several_addresses_keep_their_order() -> None:
    assert parse_addresses("b:2, a:1") == (Address("b", 2), Address("a", 1))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected host:port"),
        ("billing", "expected host:port"),
        (":7000", "expected host:port"),
        ("tcp://billing:7000", "brackets"),
        ("bil ling:7000", "expected host:port"),
        ("a/b:7000", "expected host:port"),
        ("::1:7000", "brackets"),
        ("billing:", "port must be a number"),
        ("billing:0", "port must be a number"),
        ("billing:65536", "port must be a number"),
        ("billing:7000000000000", "port must be a number"),
        ("billing:-1", "port must be a number"),
        ("billing:\u0667", "port must be a number"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(BadAddress, match=complaint):
        Address.parse(text)


def test_an_address_given_twice_is_refused() -> None:
    with pytest.raises(BadAddress, match="twice"):
        parse_addresses("a:1,b:2,a:1")


def test_an_empty_part_of_a_list_is_refused() -> None:
    with pytest.raises(BadAddress):
        parse_addresses("a:1,,b:2")
