"""Parked events as people and programs read them. Pure: text and JSON from rows.

Laws:
- What came from outside cannot steer a terminal: anything that is not printable is shown as an escape.
- Bounded: a cell, a decoded event and a dump have a most; JSON has all of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ticketflow.delivery.parking_dialect import ParkedEvent
from ticketflow.delivery.parking_shelf import STAYS, Outcome
from ticketflow.events import BadEvent, decode

CELL_CHARS_MAX = 60
SHOWN_CHARS_MAX = 8000
DUMP_BYTES_MAX = 256
ROW_BYTES = 16
COLUMNS = ("ID", "AGE", "REASON", "TRIES", "BEHIND", "SEQ", "KIND", "KEY", "WHY")
TO_THE_RIGHT = frozenset({"AGE", "TRIES", "BEHIND", "SEQ"})

SAID = {
    "applied": "applied",
    "ignored": "ignored: this version does not know its kind",
    "known": "removed: it had been applied already",
    "behind": "waits: an earlier event of its key is parked",
    "failed": "failed again",
}
WOULD = {
    "applied": "would be applied",
    "ignored": "would be ignored: this version does not know its kind",
    "known": "would be removed: it has been applied already",
    "behind": "would wait: an earlier event of its key is parked",
    "failed": "would fail again",
}


def listed(events: Sequence[ParkedEvent], *, more: bool) -> str:
    """A table, and how many there are."""
    if not events:
        return "nothing is parked"
    rows = [
        (
            event.id,
            age(event.age_s),
            event.reason,
            str(event.attempts),
            str(event.behind),
            "-" if event.seq is None else str(event.seq),
            event.kind or "-",
            event.key or "-",
            event.detail,
        )
        for event in events
    ]
    tail = ["there are more: --limit shows them"] if more else []
    return "\n".join([*_table(COLUMNS, rows), *tail])


def shown(event: ParkedEvent) -> str:
    """All that is known of one event."""
    facts = {
        "id": event.id,
        "stream": f"{event.stream}, epoch {_or_dash(event.epoch)}, seq {_or_dash(event.seq)}",
        "event": event.event_id or "-",
        "kind": event.kind or "-",
        "key": event.key or "-",
        "parked": f"{age(event.age_s)} ago",
        "reason": f"{event.reason}, after {event.attempts} attempts",
        "behind": f"{event.behind} later events of its key wait" if event.behind else "-",
        "error": event.detail or "-",
    }
    lines = [f"{name:<8}{plain(text)}" for name, text in facts.items()]
    return "\n".join([*lines, "", _bounded(_pretty(event.body))])


def told(outcome: Outcome, *, dry_run: bool) -> str:
    """What became, or would become, of one event."""
    event, result, detail = outcome
    what = (WOULD if dry_run else SAID)[result]
    if result == "failed":
        what += f" (attempt {event.attempts}): {plain(detail)}"
    return f"{event.id}  {plain(event.kind) or '-'}  {plain(event.key) or '-'}  {what}"


def summed(outcomes: Sequence[Outcome], *, dry_run: bool, waiting: int) -> str:
    """The last line of a requeue."""
    counts = Counter(outcome.result for outcome in outcomes)
    gone = sum(count for result, count in counts.items() if result not in STAYS)
    stay = len(outcomes) - gone
    if dry_run:
        text = f"dry run, nothing was changed: {gone} would leave, {stay} would stay"
    else:
        text = f"{gone} left, {stay} stay"
    return f"{text}, {waiting} wait behind" if waiting else text


def as_dict(event: ParkedEvent) -> dict[str, Any]:
    """For JSON; the body, where there is one, as base64 and, when it is an event, decoded."""
    fields = event._asdict()
    body = fields.pop("body")
    fields["age_s"] = round(event.age_s, 3)
    if body:
        fields |= {"body": body, "event": decoded(body)}
    return fields


def outcome_as_dict(outcome: Outcome) -> dict[str, Any]:
    event = outcome.event._replace(body=b"")
    return {"result": outcome.result, "error": outcome.detail or None} | as_dict(event)


def as_json(what: object) -> str:
    """One document; what has no place in JSON is written as its repr."""
    return msgspec.json.format(msgspec.json.encode(what, enc_hook=repr), indent=2).decode()


def decoded(body: bytes) -> dict[str, Any] | None:
    """The envelope with its payload, as plain values; None when it is no event."""
    try:
        envelope = decode(body)
        fields = msgspec.structs.asdict(envelope)
        fields["payload"] = _tame(msgspec.msgpack.decode(envelope.payload))
    except (BadEvent, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return fields


def age(seconds: float) -> str:
    """``12s``, ``5m``, ``3h``, ``2d``: whole units, rounded down."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{name}"
    return f"{int(max(0.0, seconds))}s"


def plain(text: str) -> str:
    """On one line, and without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [columns, *([_cut(plain(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if column in TO_THE_RIGHT else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        return "  ".join(aligned).rstrip()

    return [line(row) for row in cells]


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS_MAX else text[: CELL_CHARS_MAX - 3] + "..."


def _bounded(text: str) -> str:
    if len(text) <= SHOWN_CHARS_MAX:
        return text
    return text[:SHOWN_CHARS_MAX] + f"\n... {len(text) - SHOWN_CHARS_MAX} more characters: --json has them"


def _pretty(body: bytes) -> str:
    event = decoded(body)
    if event is not None:
        return as_json(event)
    rows = [body[at : at + ROW_BYTES] for at in range(0, min(len(body), DUMP_BYTES_MAX), ROW_BYTES)]
    dump = [
        f"{n * ROW_BYTES:04x}  {row.hex(' '):<{ROW_BYTES * 3}} "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        for n, row in enumerate(rows)
    ]
    return "\n".join([f"no event: {len(body)} bytes", *dump, *(["..."] if len(body) > DUMP_BYTES_MAX else [])])


def _tame(value: Any) -> Any:
    """JSON knows fewer kinds of keys and values than msgpack."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else repr(key): _tame(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_tame(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)
