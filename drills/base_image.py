"""debian:bookworm-slim, which all our images begin with: pulled; where no registry can be reached, made from Debian's
own packages, which a machine that installs packages can have."""

import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from drills.commands import ANSWER_S, done, last_line
from drills.errors import EngineMissing
from stack.account import is_root
from stack.install import apt_install
from stack.progress import say, step

NAME, SUITE = "debian:bookworm-slim", "bookworm"
MAKE_S = 600.0  # a minute, most of it downloads
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
SOURCES = Path("/etc/apt")


def is_there() -> bool:
    return done("docker", "image", "inspect", NAME, timeout_s=ANSWER_S).returncode == 0


def make(pull_s: float) -> None:
    """Raises EngineMissing, or StackError when a package cannot be installed."""
    say(f"  {NAME} is not here; pulling it, for {pull_s:.0f} s at most")
    if done("docker", "pull", "--quiet", NAME, timeout_s=pull_s).returncode == 0:
        return
    if not is_root():
        raise EngineMissing(f"{NAME} cannot be pulled, and only root can make it: run this as root once")
    if shutil.which("mmdebstrap") is None:
        if shutil.which("apt-get") is None:
            raise EngineMissing(f"{NAME} cannot be pulled, and without apt-get it cannot be made")
        apt_install(["mmdebstrap"], [])
    with step(f"making {NAME} of Debian's packages"), tempfile.TemporaryDirectory() as folder:
        _make(Path(folder) / "base.tar")


def _make(tar: Path) -> None:
    # The machine's certificates: where it trusts a proxy's, what is built on the image has to do so too.
    bundle = [f"--customize-hook=copy-in {CA_BUNDLE} {CA_BUNDLE.parent}"] if CA_BUNDLE.exists() else []
    options = ["--quiet", "--variant=minbase", "--include=ca-certificates", *bundle]
    said = done("mmdebstrap", *options, SUITE, str(tar), *mirror(_sources()), timeout_s=MAKE_S)
    if said.returncode != 0:
        raise EngineMissing(f"mmdebstrap failed: {last_line(said)}")
    said = done("docker", "import", "--change", 'CMD ["bash"]', str(tar), NAME, timeout_s=MAKE_S)
    if said.returncode != 0:
        raise EngineMissing(f"docker import failed: {last_line(said)}")


def mirror(sources: Iterable[str]) -> list[str]:
    """Where this machine gets SUITE from, of its apt sources' texts; nothing when they do not say: Debian's own."""
    for text in sources:
        for line in text.splitlines():  # deb [options] URI SUITE COMPONENT...
            if found := re.match(rf"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{SUITE}\s", line):
                return [found[1]]
        for stanza in text.split("\n\n"):
            fields: dict[str, str] = dict(re.findall(r"(?m)^(\w[\w-]*):[ \t]*(.*)$", stanza))
            if SUITE in fields.get("Suites", "").split() and fields.get("URIs", "").split():
                return fields["URIs"].split()[:1]
    return []


def _sources() -> list[str]:
    paths = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    return [path.read_text(errors="replace") for path in paths if path.is_file()]
