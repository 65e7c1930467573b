"""Builds the images that compose names, each once, two at a time. What has not changed comes from Docker's cache."""

import re
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from drills.commands import ANSWER_S, done, last_line, lines
from drills.errors import EngineMissing
from stack.progress import say

BUILD_S = 900.0
AT_ONCE = 2  # one downloads while the other unpacks
SIGN_OF_LIFE_S = 15.0
COMPLAINT_LINES = 15
_BUILT = re.compile(r"build: (\S+)\n\s+image: (\S+)\n")
# What compose does not name: the nemesis is no part of what is sold.
OTHERS = {"ticketflow/nemesis": "drills/nemesis"}


@dataclass(frozen=True)
class Built:
    seconds: float
    said: list[str]
    failed: bool
    new: bool


def contexts(compose_files: Sequence[Path]) -> dict[str, str]:
    """The folder of each image that is built, by the image's name."""
    named = {image: folder for path in compose_files for folder, image in _BUILT.findall(path.read_text())}
    return named | OTHERS


def build(root: Path, compose_files: Sequence[Path]) -> None:
    """Raises EngineMissing with the end of what the failed build said."""
    wanted = contexts(compose_files)
    say(f"  building {len(wanted)} images")
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(_build, image, root / folder): image for image, folder in wanted.items()}
        try:
            while running:
                finished, _ = wait(running, SIGN_OF_LIFE_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    _tell(running.pop(future), future.result())
                if not finished:
                    say(f"  ... {time.monotonic() - begun:.0f} s, {len(running)} left")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _build(image: str, context: Path) -> Built:
    begun, before = time.monotonic(), _identity(image)
    said = done("docker", "build", "--tag", image, str(context), timeout_s=BUILD_S)
    return Built(time.monotonic() - begun, lines(said), said.returncode != 0, _identity(image) != before)


def _identity(image: str) -> str | None:
    """The digest of what the name stands for now; None while it stands for nothing."""
    said = done("docker", "image", "inspect", "--format", "{{.Id}}", image, timeout_s=ANSWER_S)
    return last_line(said) if said.returncode == 0 else None


def _tell(image: str, built: Built) -> None:
    if built.failed:
        complaint = "\n".join(f"    {line}" for line in built.said[-COMPLAINT_LINES:])
        raise EngineMissing(f"{image} could not be built:\n{complaint}")
    say(f"  {image} {built.seconds:.1f} s{'' if built.new else ' (nothing new)'}")
