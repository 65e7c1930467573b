"""Where the programs are that the stack starts. Debian keeps some of them off an ordinary PATH."""

import os
import shutil
from pathlib import Path

from stack.errors import StackError

POSTGRES_ROOT = Path("/usr/lib/postgresql")
RABBITMQ_BIN = Path("/usr/lib/rabbitmq/bin")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def search_path() -> str:
    """The PATH that child processes get: the caller's, and the folders where Debian keeps servers."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}".lstrip(":")


def find(program: str) -> str:
    """The full path of ``program``. Raises StackError when it is not installed."""
    found = shutil.which(program, path=search_path())
    if found is None:
        raise _missing(program)
    return found


def postgres(program: str) -> str:
    """A program of the newest Postgres that Debian installed; one elsewhere on the PATH only when there is none."""
    versions = sorted(POSTGRES_ROOT.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in versions:
        if (folder / program).exists():
            return str(folder / program)
    return find(program)


def rabbitmq(program: str) -> str:
    """A program of RabbitMQ itself, not Debian's wrapper, which insists on becoming the user `rabbitmq`."""
    if (RABBITMQ_BIN / program).exists():
        return str(RABBITMQ_BIN / program)
    raise _missing(program)


def _missing(program: str) -> StackError:
    return StackError(f"`{program}` is not installed: run `make install` (apt packages in stack/apt-packages.txt)")
