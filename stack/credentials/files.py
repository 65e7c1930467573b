"""The folders of credentials. A file is there whole or not at all, even after a power cut; only its tier reads it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.account import is_root
from stack.credentials.table import Tier
from stack.errors import StackError

FILE_MODE = 0o400


class Files:
    """``root``/TIER/FILE. As root, each folder is given to its tier's user; an ordinary user keeps all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self, place: str) -> bool:
        return (self.root / place).exists()

    def read(self, place: str) -> str:
        return (self.root / place).read_text()

    def make_folder(self, tier: Tier) -> None:
        """Also takes over one that is there, as a fresh volume is. Only root writes into a tier's own."""
        folder = self.root / tier.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_root():
            os.chown(folder, tier.uid, tier.uid)
        folder.chmod(0o700 if tier.uid == 0 or not is_root() else 0o500)

    def write(self, place: str, tier: Tier, text: str) -> None:
        path = self.root / place
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)  # of a run that was killed
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
            file.write(text)
            file.flush()
            if is_root():
                os.fchown(file.fileno(), tier.uid, tier.uid)
            os.fsync(file.fileno())
        fresh.rename(path)
        with _opened(path.parent) as folder:
            os.fsync(folder)

    @contextmanager
    def alone(self, tier: Tier) -> Iterator[None]:
        """One run at a time: two that began together would each make a CA. Raises StackError."""
        with _opened(self.root / tier.name) as folder:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError("credentials are being made by another run: wait for it to end") from None
            yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
