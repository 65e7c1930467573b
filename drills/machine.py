"""The machine that a drill ran on: figures mean nothing without it."""

import os
import platform
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """``engine``: of the containers, by name and version."""

    cores: int
    memory_mib: int
    processor: str
    kernel: str
    engine: str

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{cores} of {self.processor}, {self.memory_mib / 1024:.1f} GiB, Linux {self.kernel}, {self.engine}"


def machine(engine: str, *, proc: Path = Path("/proc")) -> Machine:
    """This one. The cores are those that this process may use."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_mib=int(_field(proc / "meminfo", "MemTotal", "0").split()[0]) // 1024,
        processor=_field(proc / "cpuinfo", "model name", platform.machine()),
        kernel=platform.release(),
        engine=engine,
    )


def _field(file: Path, name: str, otherwise: str) -> str:
    """The first ``name: value`` of a file of /proc."""
    for line in file.read_text().splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return otherwise
