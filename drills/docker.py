"""The docker command line: every call ends, one way or the other, within its time."""

import asyncio
from contextlib import suppress

from drills.errors import DockerFailed

CALL_S = 20.0  # dockerd answers within a second; on two busy cores, with thirty containers, it has taken six
SAID_CHARS_MAX = 400


async def docker(*arguments: str, stdin: bytes = b"", timeout_s: float = CALL_S) -> str:
    """What it printed. Raises DockerFailed with what it complained of."""
    code, out, complaint = await run("docker", *arguments, stdin=stdin, timeout_s=timeout_s)
    if code != 0:
        raise DockerFailed(f"docker {' '.join(arguments[:3])}: {complaint.strip()[:SAID_CHARS_MAX] or f'exit {code}'}")
    return out


async def run(*command: str, stdin: bytes = b"", timeout_s: float = CALL_S) -> tuple[int, str, str]:
    """Exit code, output, complaints. Raises DockerFailed when it cannot be started or does not end in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the drill, which then needs docker to heal
        )
    except OSError as error:
        raise DockerFailed(f"{command[0]} cannot be started: {error}") from error
    try:
        async with asyncio.timeout(timeout_s):
            out, complaint = await process.communicate(stdin or None)
    except TimeoutError:
        raise DockerFailed(f"{' '.join(command[:4])}: no end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace"), complaint.decode(errors="replace")
