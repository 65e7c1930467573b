"""What a checker says."""

from collections.abc import Iterable

import msgspec

PROBLEMS_MAX = 20  # what a person reads; a broken drill has thousands


class Finding(msgspec.Struct, frozen=True):
    """``summary``: one line. ``problems``: the first of them, each with the ids that it takes to look further."""

    name: str
    ok: bool
    summary: str
    problems: tuple[str, ...] = ()


def finding(name: str, problems: Iterable[str], otherwise: str) -> Finding:
    """``otherwise``: what has been found to be true, should there be no problem."""
    found = list(problems)
    if not found:
        return Finding(name, True, otherwise)
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    return Finding(name, False, count, tuple(found[:PROBLEMS_MAX]))
