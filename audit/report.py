"""What all stores say, put side by side. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ticketflow.delivery.dialect_history import Finding
from ticketflow.delivery.history import End
from ticketflow.delivery.stream_commands import is_open

Cells = tuple[str, ...]

HEADER: Cells = ("stream", "at", "side", "epoch", "last/watermark", "acked", "unacked", "oldest", "parked", "state")


@dataclass(frozen=True)
class Seen:
    """One store. ``away`` says why it could not be asked."""

    ends: Sequence[End] = ()
    findings: Sequence[Finding] = ()
    away: str = ""


@dataclass(frozen=True)
class Report:
    """By service, in the order in which they were asked."""

    stores: Mapping[str, Seen] = field(default_factory=dict)

    @property
    def parted(self) -> set[str]:
        """Streams whose two ends stand in different epochs, or whose receiver has more than its sender: or a lane that
        its sender does not even know. It passes by itself while the sender says HELLO; when it stays, a person has to
        look."""
        senders = {end.stream: end for end in self._ends() if end.side == "out"}
        return {end.stream for end in self._ends() if end.side == "in" and end.upto_seq > 0 and _is_ahead(end, senders)}

    @property
    def open(self) -> bool:
        """Whether a person has something to do."""
        return bool(self.parted) or any(is_open(found) for seen in self.stores.values() for found in seen.findings)

    @property
    def away(self) -> bool:
        """Whether a store could not be asked."""
        return any(seen.away for seen in self.stores.values())

    @property
    def unresolved(self) -> bool:
        return self.open or self.away

    def with_senders_of(self, later: Mapping[str, Seen]) -> "Report":
        """What ``later`` says, but the receivers as they stood before it: so each was asked before its sender."""
        return Report(
            {
                at: replace(
                    seen,
                    ends=[end for end in self.stores[at].ends if end.side == "in"]
                    + [end for end in seen.ends if end.side == "out"],
                )
                for at, seen in later.items()
            }
        )

    def lines(self) -> list[str]:
        """For people."""
        rows = [
            self._row(at, end) for stream in self._streams() for at, end in self._sides(stream)
        ]  # both ends of a stream stand together
        found = [
            f"{at}: {finding.what} {finding.stream} ({finding.side}), epoch {finding.epoch},"
            f" seqs {finding.first_seq}..{finding.last_seq}, {finding.events} events,"
            f" found {finding.found_at:%Y-%m-%d %H:%M:%S} UTC, {finding.state}"
            f"{': ' if finding.note else ''}{_plain(finding.note)}"
            for at, seen in self.stores.items()
            for finding in seen.findings
        ]
        away = [f"{at}: could not be asked: {_plain(seen.away)}" for at, seen in self.stores.items() if seen.away]
        parted = [
            f"parted: the two ends of {stream} do not tell the same; this passes when its sender connects, or a person"
            " has to look"
            for stream in sorted(self.parted)
        ]
        todo = sorted({(f.what, f.stream) for seen in self.stores.values() for f in seen.findings if is_open(f)})
        hints = [
            f"which they are: python -m {at} stream phantoms {finding.stream}"
            for at, seen in self.stores.items()
            for finding in seen.findings
            if finding.what == "phantom" and is_open(finding)
        ]
        hints += [f'once it is settled: python -m audit resolve {what} {stream} --note "..."' for what, stream in todo]
        verdict = "unresolved" if self.unresolved else "nothing is unresolved"
        told = found or ["no forks, phantoms or holes"]
        return [*_table([HEADER, *rows]), "", *told, *parted, *away, *hints, verdict]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "unresolved": self.unresolved,
            "parted": sorted(self.parted),
            "stores": {
                at: {
                    "away": seen.away,
                    "ends": list(seen.ends),
                    "findings": [finding._asdict() for finding in seen.findings],
                }
                for at, seen in self.stores.items()
            },
        }

    def _ends(self) -> list[End]:
        return [end for seen in self.stores.values() for end in seen.ends]

    def _streams(self) -> list[str]:
        return sorted({end.stream for end in self._ends()})

    def _sides(self, stream: str) -> list[tuple[str, End]]:
        sides = [(at, end) for at, seen in self.stores.items() for end in seen.ends if end.stream == stream]
        return sorted(sides, key=lambda pair: pair[1].side, reverse=True)

    def _row(self, at: str, end: End) -> Cells:
        oldest = f"{end.oldest_age_s:.0f} s" if end.unacked and end.oldest_age_s is not None else "-"
        state = "parted" if end.stream in self.parted else ""
        numbers = (_or_dash(number) for number in (end.epoch, end.upto_seq, end.acked_seq, end.unacked))
        return (
            end.stream,
            at,
            "sends" if end.side == "out" else "receives",
            *numbers,
            oldest,
            _or_dash(end.parked),
            state,
        )


def _is_ahead(receiver: End, senders: Mapping[str, End]) -> bool:
    sender = senders.get(receiver.stream)
    if sender is None:
        return receiver.stream.rpartition(".")[0] in senders  # the sender was restored to before it had this lane
    return receiver.epoch != sender.epoch or receiver.upto_seq > sender.upto_seq


def _table(rows: Sequence[Cells]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _plain(text: str) -> str:
    """One line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
