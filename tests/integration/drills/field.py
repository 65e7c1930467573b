"""Two small containers in the manner of compose, for the nemesis to practise on. Each answers on the feed's port."""

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drills.cluster import NETWORK, ONEOFF, PROJECT, SERVICE, Cluster
from drills.docker import docker
from drills.errors import DockerFailed
from drills.faults import Struck
from drills.faults.nemesis import FOLDER, IMAGE, Nemesis

PORT = 9400
ANSWER = """
import socket
server = socket.create_server(("0.0.0.0", 9400))
while True:
    client, _ = server.accept()
    client.sendall(b"x")
    client.close()
"""
ASK = """
import socket, sys, time
begun = time.monotonic()
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 9400), timeout=float(sys.argv[3])) as client:
        assert client.recv(1) == b"x"
print(time.monotonic() - begun)
"""


def docker_answers() -> bool:
    """Whether there is an engine to practise on; without one there is nothing to test here."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30)
    return asked.returncode == 0


@dataclass
class Field:
    struck: Struck
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        return self.struck.cluster

    @property
    def nemesis(self) -> Nemesis:
        return self.struck.nemesis

    async def seconds(self, asker: str, other: str, times: int = 1, timeout_s: float = 1) -> float | None:
        """How long ``times`` conversations took; None when one was not answered."""
        ask = ("python3", "-c", ASK, self.addresses[other], str(times), str(timeout_s))
        try:
            return float(await self.cluster.exec(asker, *ask))
        except DockerFailed:
            return None

    async def talks(self, asker: str, other: str) -> bool:
        return await self.seconds(asker, other) is not None

    async def states(self) -> dict[str, str]:
        return {service: container.state for service, container in (await self.cluster.containers()).items()}


@asynccontextmanager
async def open_field() -> AsyncIterator[Field]:
    """Everything is removed again, whatever happens."""
    project = f"t-nem-{secrets.token_hex(4)}"
    labels = ("--label", f"{PROJECT}={project}", "--label", f"{ONEOFF}=False")
    await docker("build", "--quiet", "--tag", IMAGE, str(FOLDER), timeout_s=300)
    cluster = Cluster(project)
    nemesis = Nemesis(cluster)
    try:
        await docker("network", "create", "--internal", *labels[:2], "--label", f"{NETWORK}=feeds", project)
        for service in ("one", "two"):
            await docker(
                *("run", "--detach", "--init", "--restart", "unless-stopped", "--stop-timeout", "1"),
                *("--name", f"{project}-{service}", "--network", project, *labels, "--label", f"{SERVICE}={service}"),
                *(IMAGE, "python3", "-c", ANSWER),
            )
        await nemesis.start(build=False)
        struck = Struck(cluster, nemesis, lambda: {"feed": "one", "both": "one two"})
        shown = {service: await cluster.addresses(service) for service in ("one", "two")}
        yield Field(struck, {service: found[0].partition("/")[0] for service, found in shown.items()})
    finally:
        await nemesis.stop()
        for remove in (("rm", "--force", f"{project}-one", f"{project}-two"), ("network", "rm", project)):
            await asyncio.gather(docker(*remove, timeout_s=30), return_exceptions=True)
