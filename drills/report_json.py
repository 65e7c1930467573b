"""A run of drills as JSON: the summary that is kept in drills/results, and everything."""

from collections.abc import Sequence

import msgspec

from drills.machine import Machine
from drills.verdict import Judged


class _Everything(msgspec.Struct):
    machine: Machine
    drills: Sequence[Judged]


def summary(machine: Machine, drills: Sequence[Judged]) -> str:
    """``{"machine": ..., "drills": [verdict, ...]}``, a line for each drill: a diff of two runs shows what changed."""
    lines = ",\n".join(f"    {msgspec.json.encode(judged.verdict).decode()}" for judged in drills)
    listed = f"[\n{lines}\n  ]" if drills else "[]"
    return f'{{\n  "machine": {msgspec.json.encode(machine).decode()},\n  "drills": {listed}\n}}\n'


def everything(machine: Machine, drills: Sequence[Judged]) -> bytes:
    """With findings, figures, limits and time lines."""
    return msgspec.json.encode(_Everything(machine, drills))
