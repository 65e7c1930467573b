"""The folders of a stack: everything below the run folder, except what its owner could not reach there."""

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from stack import account
from stack.errors import StackError

DISK_BYTES_MIN = 1_000_000_000  # fresh stores take 250 MB, Postgres' WAL may grow to 512 MB, RabbitMQ wants 100 MB free
_ELSEWHERE = Path("/var/lib")


@dataclass(frozen=True)
class Places:
    run: Path

    @property
    def logs(self) -> Path:
        return self.run / "log"

    @property
    def secrets(self) -> Path:
        return self.run / "secrets"

    @property
    def tls(self) -> Path:
        """The development CA, and a folder for each service's key and certificate."""
        return self.run / "tls"

    @property
    def mariadb(self) -> Path:
        return self.run / "mariadb"

    @property
    def rabbitmq(self) -> Path:
        return self.run / "rabbitmq"

    @property
    def nginx(self) -> Path:
        return self.run / "nginx"

    @property
    def sandbox(self) -> Path:
        return self.run / "sandbox"

    @property
    def postgres(self) -> Path:
        """Where the data really is: `.run/postgres` may be a link to it."""
        return (self.run / "postgres").resolve()

    @property
    def elsewhere(self) -> Path:
        """A folder that every user can walk to, one for each run folder."""
        return _ELSEWHERE / f"ticketflow-{hashlib.sha256(str(self.run).encode()).hexdigest()[:12]}"

    def make(self) -> str | None:
        """Makes the folders. Returns a line for the user when Postgres' data had to go elsewhere. Raises StackError."""
        self.make_run()
        free = shutil.disk_usage(self.run).free
        if free < DISK_BYTES_MIN:
            needed, there = DISK_BYTES_MIN // 1_000_000, free // 1_000_000
            raise StackError(f"only {there} MB are free below {self.run}: make room for {needed} MB")
        for folder in (self.logs, self.secrets, self.sandbox):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self._place_postgres()

    def make_run(self) -> None:
        _make_passable(self.run)

    def remove(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.elsewhere, ignore_errors=True)

    def _place_postgres(self) -> str | None:
        user = account.stand_in_for_root("postgres")
        link = self.run / "postgres"
        if link.is_symlink() and link.exists():
            return None
        if account.can_reach(user, self.run):
            return None
        if link.is_dir() and not link.is_symlink():
            raise StackError(f"the user `{user}` cannot reach {link}: open the folders above it, or `make clean`")
        home = self.elsewhere / "postgres"
        if home.exists():  # left by an earlier run folder, whose passwords are gone with it: not ours to delete
            home.rename(home.with_name(f"postgres-before-{time.strftime('%Y%m%d-%H%M%S')}"))
        _make_passable(self.elsewhere)
        home.mkdir(mode=0o700)
        account.give(home, user)
        link.unlink(missing_ok=True)
        link.symlink_to(home)
        return f"Postgres runs as `{user}`, who cannot reach {self.run}: its data is in {home}"


def _make_passable(folder: Path) -> None:
    """A folder that others may walk through and not look into, whatever the umask."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o711)
