"""A command of a service, run as people run it: a process of its own, with what it prints and its exit code."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def parked(service: str, environment: Mapping[str, str], *arguments: str) -> Said:
    """``python -m SERVICE parked ARGUMENTS``."""
    return await module(service, environment, "parked", *arguments)


async def module(name: str, environment: Mapping[str, str], *arguments: str) -> Said:
    """``python -m NAME ARGUMENTS``. It never shows a traceback, whatever happens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        name,
        *arguments,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    said = Said(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in said.out + said.err
    return said
