"""The corpus: small files that once told something, in tests/corpus/<target>/, named for what they do.

A name is the words that the target answers, then a number: `streaming.events.gap.1` begins in the state streaming,
brings events, and ends with the refusal `gap`. A test holds every name against what the entry does today.
"""

import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.fuzz.targets import TARGETS, Words

ROOT = Path(__file__).parents[1] / "corpus"
ENTRY_BYTES_MAX = 4096
WORDS_MAX = 6


def entries(target: str) -> list[Path]:
    return sorted((ROOT / target).glob("*"))


def everything() -> Iterator[tuple[str, Path]]:
    for target in TARGETS:
        for path in entries(target):
            yield target, path


def title(words: Words) -> str:
    """The name of what answers ``words``: repeats once, and of many the first and the last."""
    told = [word for word, _ in groupby(words)]
    if len(told) > WORDS_MAX:
        told = [*told[: WORDS_MAX - 2], "etc", told[-1]]
    return ".".join(told)


def keep(target: str, data: bytes) -> Path | None:
    """Write ``data`` under its name; None when it is there already."""
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    if any(path.read_bytes() == data for path in folder.iterdir()):
        return None
    name = title(TARGETS[target](data))
    number = 1 + max((int(path.suffix[1:]) for path in folder.glob(f"{name}.*") if path.stem == name), default=0)
    path = folder / f"{name}.{number}"
    path.write_bytes(data)
    return path


def rename() -> list[tuple[Path, Path]]:
    """Give every entry the name of what it does today, after a change that was meant."""
    changed: list[tuple[Path, Path]] = []
    for target, path in list(everything()):
        data = path.read_bytes()
        if path.stem != title(TARGETS[target](data)):
            path.unlink()
            if (new := keep(target, data)) is not None:
                changed.append((path, new))
    return changed


def shortest_of_each(target: str, candidates: list[bytes]) -> list[bytes]:
    """Of ``candidates`` the shortest for each title: what a fuzzer gathered, thinned out for people."""
    best: dict[str, bytes] = {}
    for data in sorted(candidates, key=lambda data: (len(data), hashlib.sha256(data).digest())):
        if len(data) <= ENTRY_BYTES_MAX:
            best.setdefault(title(TARGETS[target](data)), data)
    return list(best.values())
