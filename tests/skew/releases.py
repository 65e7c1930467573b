"""Two releases on disk: the present one, as it stands here, and the next one, which differs as releases do.

The next one is the present one with changes to its source: another version of the protocol, fields added to HELLO and
WELCOME, to the envelope and to a payload, whose version rises, and a kind that did not exist.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Change:
    """In ``file`` the text ``before``, which stands there once, becomes ``after``."""

    file: str
    before: str
    after: str

    def make(self, tree: Path) -> None:
        path = tree / "ticketflow" / self.file
        text = path.read_text()
        assert text.count(self.before) == 1, f"{self.file} has changed: mend tests/skew/releases.py"
        path.write_text(text.replace(self.before, self.after))


NEXT = (
    Change("feed/limits.py", "\nVERSION = 1  #", "\nVERSION = 2  #"),
    Change(
        "feed/messages.py",
        '\n\nclass Welcome(Message, frozen=True, tag="welcome"):',
        '    region: str = "eu-1"\n    abilities: tuple[str, int, tuple[int, ...]] = ("compression", 3, (1, 2))\n'
        '\n\nclass Welcome(Message, frozen=True, tag="welcome"):',
    ),
    Change(
        "feed/messages.py",
        '\n\nclass Events(Message, frozen=True, tag="events"',
        '    zone: str | None = "b"\n    offers: tuple[int, ...] = (1, 2, 3)\n'
        '\n\nclass Events(Message, frozen=True, tag="events"',
    ),
    Change(
        "events/envelope.py",
        "    traceparent: str | None = None\n\n\n_encoder",
        '    traceparent: str | None = None\n    tenant: str = "main"\n\n\n_encoder',
    ),
    Change(
        "events/kinds.py",
        '    kind: ClassVar[str] = "hold.released"\n    hold_id: str\n',
        '    kind: ClassVar[str] = "hold.released"\n    version: ClassVar[int] = 2\n    hold_id: str\n'
        '    released_by: str = "nobody"\n\n\n'
        "class HoldExtended(Payload, frozen=True, kw_only=True):\n"
        '    kind: ClassVar[str] = "hold.extended"\n    hold_id: str\n    until_us: int\n',
    ),
    Change(
        "events/kinds.py",
        "        HoldReleased,\n        HoldEx",
        "        HoldReleased,\n        HoldExtended,\n        HoldEx",
    ),
)


@dataclass(frozen=True)
class Release:
    """``tree``: a folder with its ticketflow and the programs. ``version``: of the protocol, as it announces it."""

    name: str
    tree: Path
    version: int


def build(folder: Path) -> tuple[Release, Release]:
    """The present release and the next one."""
    releases = (Release("present", folder / "present", 1), Release("next", folder / "next", 2))
    for release in releases:
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "ticketflow", release.tree / "ticketflow", ignore=without)
        shutil.copytree(PROGRAMS, release.tree / "programs", ignore=without)
    for change in NEXT:
        change.make(releases[1].tree)
    return releases
