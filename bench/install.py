"""Installs what only the benches need: the peers, of requirements-bench.txt, and the server of one of them."""

import shutil
import subprocess
import sys
from pathlib import Path

from stack import install, tools
from stack.errors import StackError

LOCK = Path(__file__).resolve().parent.parent / "requirements-bench.txt"
PACKAGE = "nats-server"


def main() -> int:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            str(LOCK),
        ],
        check=True,
    )
    if shutil.which(PACKAGE, path=tools.search_path()) is None:
        install.apt_install([PACKAGE], install.root_command([PACKAGE], [PACKAGE]))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StackError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench: {error}")
