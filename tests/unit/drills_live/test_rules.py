"""Faults of the network as text for iptables-restore."""

import pytest

from drills.faults.rules import Link, NetworkFault, cut, slow, table

LOOPBACK = ["-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT"]


def test_cut_off_from_everybody() -> None:
    assert table([cut()]).splitlines() == [
        "*mangle",
        *LOOPBACK,
        "-A INPUT -j DROP",
        "-A OUTPUT -j NFQUEUE --queue-num 65000",
        "COMMIT",
    ]


def test_cut_off_from_some() -> None:
    assert cut(["172.30.4.0/24", "172.30.3.81"]).lines == (
        "-A INPUT -s 172.30.4.0/24 -j DROP",
        "-A OUTPUT -d 172.30.4.0/24 -j NFQUEUE --queue-num 65000",
        "-A INPUT -s 172.30.3.81/32 -j DROP",
        "-A OUTPUT -d 172.30.3.81/32 -j NFQUEUE --queue-num 65000",
    )


def test_one_way() -> None:
    assert cut(direction="in").lines == ("-A INPUT -j DROP",)
    assert cut(direction="out").lines == ("-A OUTPUT -j NFQUEUE --queue-num 65000",)


def test_a_slow_port_is_slow_for_who_serves_and_who_calls() -> None:
    assert slow(Link(200, 50), ports=[9400]).lines == (
        "-A OUTPUT -p tcp --dport 9400 -j NFQUEUE --queue-num 1 --queue-bypass",
        "-A OUTPUT -p tcp --sport 9400 -j NFQUEUE --queue-num 1 --queue-bypass",
    )


def test_a_slow_way_to_some() -> None:
    assert slow(Link(200), ["172.30.2.11"]).lines == (
        "-A OUTPUT -d 172.30.2.11/32 -j NFQUEUE --queue-num 1 --queue-bypass",
    )


def test_several_at_once_are_one_table_with_the_cuts_first() -> None:
    text = table([slow(Link(200)), cut(["10.0.0.1"], "in")])
    assert text.splitlines()[3:5] == [
        "-A INPUT -s 10.0.0.1/32 -j DROP",
        "-A OUTPUT -j NFQUEUE --queue-num 1 --queue-bypass",
    ]


def test_nothing_is_a_table_that_changes_nothing() -> None:
    assert table([]).splitlines() == ["*mangle", *LOOPBACK, "COMMIT"]


def test_what_is_no_address_gets_into_no_rule() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        cut(["10.0.0.1 -j ACCEPT"])


def test_a_links_options() -> None:
    assert Link(200, 50, 0.1, 7).options() == [
        *("--delay-ms", "200", "--jitter-ms", "50", "--loss", "0.1", "--seed", "7"),
    ]
    assert NetworkFault(()).link is None
