"""What faults of the network are to a container: rules of iptables, and at most one slow link.

Laws of this file:
- Pure. Text for iptables-restore comes out, for the table mangle as a whole.
- Loopback is never touched: health checks and docker's DNS live there.
- What leaves the container is lost without a word, as on a wire: NFQUEUE to a queue that nobody reads. DROP would tell
  the sender (EPERM), whose TCP then behaves as it never would on a network.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["both", "in", "out"]

DELAY_QUEUE = 1  # as in nemesis/network.py
NOBODYS_QUEUE = 65_000


@dataclass(frozen=True)
class Link:
    """What the packets that leave a container suffer. ``loss``: the share that never arrives."""

    delay_ms: float = 0
    jitter_ms: float = 0
    loss: float = 0
    seed: int = 0

    def options(self) -> list[str]:
        return [
            *("--delay-ms", f"{self.delay_ms:g}", "--jitter-ms", f"{self.jitter_ms:g}"),
            *("--loss", f"{self.loss:g}", "--seed", str(self.seed)),
        ]


@dataclass(frozen=True)
class NetworkFault:
    """Lines of the table mangle, and the link they send packets to."""

    lines: tuple[str, ...]
    link: Link | None = None


def cut(peers: Sequence[str] = (), direction: Direction = "both") -> NetworkFault:
    """Nothing passes from and to ``peers``, addresses or subnets; from and to anybody when there are none."""
    lines = []
    for peer in [str(ipaddress.ip_network(peer)) for peer in peers] or [""]:
        if direction in ("both", "in"):
            lines.append(_line("INPUT", f"-s {peer}" if peer else "", "-j DROP"))
        if direction in ("both", "out"):
            lines.append(_line("OUTPUT", f"-d {peer}" if peer else "", f"-j NFQUEUE --queue-num {NOBODYS_QUEUE}"))
    return NetworkFault(tuple(lines))


def slow(link: Link, peers: Sequence[str] = (), ports: Sequence[int] = ()) -> NetworkFault:
    """What leaves for ``peers``, to or from one of the TCP ``ports``, takes the link; without them, for anybody, from
    any port."""
    jump = f"-j NFQUEUE --queue-num {DELAY_QUEUE} --queue-bypass"
    wheres = [f"-d {ipaddress.ip_network(peer)}" for peer in peers] or [""]
    whats = [f"-p tcp --{side} {port}" for port in ports for side in ("dport", "sport")] or [""]
    lines = [_line("OUTPUT", where, what, jump) for where in wheres for what in whats]
    return NetworkFault(tuple(lines), link)


def table(faults: Iterable[NetworkFault]) -> str:
    """The table with all of them at once, cuts first: what is lost need not be delayed."""
    lines = [line for fault in faults for line in fault.lines]
    cuts = [line for line in lines if f"--queue-num {DELAY_QUEUE} " not in line]
    links = [line for line in lines if line not in cuts]
    loopback = ["-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT"]
    return "\n".join(["*mangle", *loopback, *cuts, *links, "COMMIT", ""])


def _line(chain: str, *parts: str) -> str:
    return " ".join((f"-A {chain}", *(part for part in parts if part)))
