"""Bytes read as a session: the first says how it begins, then one byte a step, each followed by what it needs.

Any bytes are a program, a cut one ends early. So a fuzzer that knows nothing of all this changes one step at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

STEPS_MAX = 400  # a program longer than this tells nothing new


class Op(IntEnum):
    """What happens in a step; ``arg`` is 0 to 31."""

    RAW = 0  # `arg` bytes of the program arrive as they are (31: as many as the next two bytes say)
    FRAME = 1  # a frame arrives whose body is the next bytes; the next two bytes say how many
    SAY = 2  # a well-formed message arrives: number `arg` of the phrase book, about the number in the next byte
    TIME = 3  # `arg` tenths of a second pass
    ACT = 4  # this end does something itself: `arg`, with the number in the next byte
    LINE = 5  # the line: 0 is cut; others: we stood still for `arg` tenths of a second
    TAKE = 6  # the output is taken away (it is looked at in any case at the end)
    CUT = 7  # from now on bytes arrive `arg` at a time; 0 for all at once


@dataclass(frozen=True, slots=True)
class Start:
    """``state``: 0 new, 1 greeted, 2 streaming, 3 finishing. ``small``: a window of 4 events. ``forgetful``: the
    receiver stores nothing. ``by_peer``: it was the peer who said GOODBYE."""

    state: int
    small: bool
    forgetful: bool
    by_peer: bool


@dataclass(frozen=True, slots=True)
class Step:
    op: Op
    arg: int
    number: int = 0
    data: bytes = b""


def read(program: bytes) -> tuple[Start, Iterator[Step]]:
    first = program[0] if program else 0
    start = Start(first & 3, bool(first & 4), bool(first & 8), bool(first & 16))
    return start, _steps(memoryview(program)[1:])


def _steps(left: memoryview) -> Iterator[Step]:
    for _ in range(STEPS_MAX):
        if not left:
            return
        op, arg = Op(left[0] & 7), left[0] >> 3
        left = left[1:]
        number, data = 0, b""
        if op is Op.FRAME or (op is Op.RAW and arg == 31):
            size = int.from_bytes(left[:2], "big")
            data, left = bytes(left[2 : 2 + size]), left[2 + size :]
        elif op is Op.RAW:
            data, left = bytes(left[:arg]), left[arg:]
        elif op in (Op.SAY, Op.ACT):
            number, left = (left[0] if left else 0), left[1:]
        yield Step(op, arg, number, data)


def write(start: Start, *steps: Step) -> bytes:
    """The program that ``read`` reads so."""
    out = bytearray([start.state | start.small << 2 | start.forgetful << 3 | start.by_peer << 4])
    for step in steps:
        out.append(step.op | step.arg << 3)
        if step.op is Op.FRAME or (step.op is Op.RAW and step.arg == 31):
            out += len(step.data).to_bytes(2, "big")
        elif step.op in (Op.SAY, Op.ACT):
            out.append(step.number)
        out += step.data
    return bytes(out)
