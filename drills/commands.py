"""Commands of the machine, before there is anything to drill: each ends within its time, and none raises."""

import subprocess
from pathlib import Path

ANSWER_S = 20.0  # for what is answered within a second, on a machine that is busy with thirty containers
MISSING, TIMED_OUT = 127, 124  # as a shell and timeout(1) say it


def done(
    *command: str, timeout_s: float, cwd: Path | None = None, stdin: bytes | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Its exit code and all that it said. Whatever prevents an answer is a failure that says so."""
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            input=stdin or b"",
            check=False,
            timeout=timeout_s,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.output or b"") + f"\nno end within {timeout_s:g} s\n".encode()
        return subprocess.CompletedProcess(command, TIMED_OUT, said)
    except OSError as error:
        return subprocess.CompletedProcess(command, MISSING, f"{command[0]}: {error.strerror}\n".encode())


def lines(said: "subprocess.CompletedProcess[bytes]") -> list[str]:
    return [line.strip() for line in said.stdout.decode(errors="replace").splitlines() if line.strip()]


def last_line(said: "subprocess.CompletedProcess[bytes]") -> str:
    """What a failed command complained of, mostly."""
    return (lines(said) or [f"exit code {said.returncode}"])[-1]
