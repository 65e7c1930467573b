"""`make lock`: resolves the locks anew from pyproject.toml, with hashes and without any address or path.

requirements.txt is for development and has everything; requirements-run.txt, for images, is the part of it that runs.
requirements-fuzz.txt is what only `make fuzz` needs, requirements-bench.txt what only `make bench` does.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"
RUN_LOCK = ROOT / "requirements-run.txt"
FUZZ_LOCK = ROOT / "requirements-fuzz.txt"
BENCH_LOCK = ROOT / "requirements-bench.txt"
# A name, a version, its hashes, why it is here: whatever else a resolver writes would tie the lock to one machine.
ALLOWED = re.compile(r"(?P<pin>[A-Za-z0-9._-]+==[^\s/:@]+)?( ?\\)?|--hash=sha256:[0-9a-f]{64}( \\)?|#( .*)?")
ADDRESS = re.compile(r"[a-z+]+://|(^|\s)/")


def resolver(*what: str) -> list[str]:
    """The command of the resolver that is there, with this lock's options. Raises StackError when there is none."""
    beside = Path(sys.executable).parent
    uv = shutil.which("uv", path=str(beside)) or shutil.which("uv")
    if uv is None:
        raise StackError(
            f"`uv` is needed to resolve and is not here: `{beside}/pip install uv`, then `make lock` again"
        )
    options = ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
    return [uv, "pip", "compile", "--quiet", *options, "--python-version", "3.11", *what]


def unwanted(lock: str) -> list[str]:
    """The lines of a lock that hold an address, a path, or anything that is neither a pin, a hash nor a comment."""
    lines = lock.splitlines()
    return [line for line in lines if ADDRESS.search(line.strip()) or not ALLOWED.fullmatch(line.strip())]


def lock() -> None:
    project = "pyproject.toml"
    LOCK.write_text(_resolved("--extra", "dev", project))
    RUN_LOCK.write_text(_resolved("--constraints", LOCK.name, project))  # the same versions: what runs was tested
    FUZZ_LOCK.write_text(_resolved("--group", f"{project}:fuzz"))
    BENCH_LOCK.write_text(_resolved("--constraints", LOCK.name, "--group", f"{project}:bench"))


def _resolved(*what: str) -> str:
    done = subprocess.run(resolver(*what), cwd=ROOT, check=False, text=True, capture_output=True)
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise StackError(f"resolving failed: {said[-1]}")
    if bad := unwanted(done.stdout):
        raise StackError(f"the resolver wrote what must not be in a lock: {bad[0].strip()}")
    return done.stdout


if __name__ == "__main__":
    try:
        lock()
    except StackError as error:
        sys.exit(f"lock: {error}")
