"""Passwords and keys: made once, a file each (0600), and handed to a process as a path, never on a command line."""

import os
import secrets
from pathlib import Path


class SecretFiles:
    """A folder of secrets. Hexadecimal text: it needs no quoting in SQL, a URL or a header."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def get(self, name: str) -> str:
        """The secret of that name, made if there is none yet."""
        if not self.path(name).exists():
            self.put(name, secrets.token_hex(24))
        return self.path(name).read_text()

    def put(self, name: str, text: str) -> Path:
        """Stores a secret that is derived from others (a DSN with its password); replaces it at once or not at all."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path(f".{name}.new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        fresh.rename(self.path(name))
        return self.path(name)
