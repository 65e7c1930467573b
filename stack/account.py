"""As whom a server runs. Everything runs as the caller, except that Postgres refuses to be root."""

import os
import pwd
import subprocess
from pathlib import Path
from typing import TypedDict

from stack.errors import StackError


class Credentials(TypedDict, total=False):
    """Keyword arguments of subprocess.Popen that make the child somebody else; empty: it stays the caller."""

    user: int
    group: int
    extra_groups: list[int]


def is_root() -> bool:
    return os.geteuid() == 0


def stand_in_for_root(name: str) -> str | None:
    """The account for a server that refuses to be root; None when the caller is an ordinary user."""
    if not is_root():
        return None
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            f"there is no user `{name}` to run it as: run `make install`, or run as an ordinary user"
        ) from None
    return name


def credentials(user: str | None) -> Credentials:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path: Path, user: str | None) -> None:
    """Makes ``user`` the owner of ``path``."""
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def can_reach(user: str | None, folder: Path) -> bool:
    """Whether ``user`` may walk into ``folder``: every folder above it must let them through."""
    if user is None:
        return os.access(folder, os.X_OK)
    # `test -x` as that user: the kernel's own answer, with ACLs and mounts counted in.
    return subprocess.run(["/usr/bin/test", "-x", folder], cwd="/", check=False, **credentials(user)).returncode == 0
