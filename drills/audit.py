"""The auditor from outside: keeps its watch running in its container, and asks it for the end of the story.

The watch is restarted should it end; what it has said is kept until ``forget``.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from drills.cluster import Cluster
from drills.docker import docker
from drills.errors import AuditFailed, DockerFailed
from drills.history import Stores
from drills.observation import OLD_S, Observation

SERVICE = "auditor"
MODULE = ("python", "-m", "drills.auditor")
LINE_BYTES_MAX = 1 << 20  # an observation is two kilobytes
RESTART_S = 1.0
END_S = 5.0
QUEUES_LATE_S = 10.0  # RabbitMQ counts a queue's messages every 5 s, the watch asks every 2 s
LOOK_AGAIN_S = 0.5
FINAL_S = 180.0  # the largest drill's rows take seconds; on a machine that is still busy with recovering, more


class Audit:
    """``start`` before, ``stop`` after. ``note``: told of each observation."""

    def __init__(self, cluster: Cluster, note: Callable[[Observation], None] = lambda _: None) -> None:
        self._cluster = cluster
        self._note = note
        self._event_id = ""
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.observations: list[Observation] = []
        self.complaint = ""  # why the watch ended last

    @property
    def last(self) -> Observation | None:
        """The newest observation, if it still says something about now."""
        newest = self.observations[-1] if self.observations else None
        return newest if newest is not None and time.time() - newest.at_s <= OLD_S else None

    @property
    def roles(self) -> Mapping[str, str]:
        return self.last.roles if self.last is not None else {}

    async def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name="watch")

    async def stop(self) -> None:
        """The watch in the container ends by itself when nobody talks to it any more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def look_at(self, event_id: str) -> None:
        """The ticketed event whose places and sales the watch is to count from now on."""
        self._event_id = event_id
        self._tell()

    def forget(self) -> None:
        """A new drill begins. The newest stays: it is what the drill's rewinds are counted from."""
        del self.observations[:-1]

    async def admin_key(self) -> str:
        """Of the shop: the auditor has it among its credentials, the host has none."""
        return (await self._cluster.exec(SERVICE, "cat", "/run/credentials/admin-key")).strip()

    async def final(self, event_id: str, since_s: float) -> Stores:
        """Everything that the stores know of the event, and of the time since then (Unix). Raises AuditFailed."""
        text = await self._ask("final", event_id, f"{since_s:.6f}")
        stores = msgspec.json.decode(text, type=Stores)
        queued = await self._queued()
        rewinds = self._rewinds_since(since_s)
        streams = tuple(msgspec.structs.replace(s, rewinds=rewinds.get(s.name, 0)) for s in stores.streams)
        return msgspec.structs.replace(stores, streams=streams, queued=queued)

    async def _queued(self) -> dict[str, int]:
        """Messages by queue. What RabbitMQ says of a queue may be of some seconds ago, when it was not empty yet: what
        still waits after that time is what waits."""
        until = time.monotonic() + QUEUES_LATE_S
        while True:
            queued = dict(self.observations[-1].queued) if self.observations else {}
            if not any(queued.values()) or time.monotonic() > until:
                return queued
            await asyncio.sleep(LOOK_AGAIN_S)

    async def replicas(self) -> list[str]:
        """How Galera's nodes differ, in words; empty when they do not. Raises AuditFailed."""
        return msgspec.json.decode(await self._ask("replicas"), type=list[str])

    def _rewinds_since(self, since_s: float) -> dict[str, int]:
        """Counted by a watch since it began: one that was restarted in between began at 0 again."""
        counted: dict[str, int] = {}
        before = next((o for o in reversed(self.observations) if o.at_s < since_s), Observation(0)).rewinds
        for observation in self.observations:
            if observation.at_s < since_s:
                continue
            for stream, count in observation.rewinds.items():
                step = count - before.get(stream, 0)
                counted[stream] = counted.get(stream, 0) + (step if step >= 0 else count)
            before = {**before, **observation.rewinds}
        return counted

    async def _ask(self, *arguments: str) -> str:
        try:
            return await self._cluster.exec(SERVICE, *MODULE, *arguments, timeout_s=FINAL_S)
        except DockerFailed as error:
            raise AuditFailed(str(error)) from error

    # -- the watch

    async def _keep(self) -> NoReturn:
        while True:
            try:
                await self._watch_once()
            except (DockerFailed, OSError, msgspec.MsgspecError) as error:
                self.complaint = str(error)
            await asyncio.sleep(RESTART_S)

    async def _watch_once(self) -> None:
        [container] = await self._cluster.ids([SERVICE])
        process = self._process = await asyncio.create_subprocess_exec(
            *("docker", "exec", "--interactive", container, *MODULE, "watch"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # Ctrl-C is the driver's business
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        complaints = asyncio.create_task(process.stderr.read(LINE_BYTES_MAX))
        try:
            self._tell()
            while line := await process.stdout.readline():
                observation = msgspec.json.decode(line, type=Observation)
                self.observations.append(observation)
                self._note(observation)
            self.complaint = (await complaints).decode(errors="replace").strip()[-400:]
        finally:
            self._process = None
            complaints.cancel()
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _tell(self) -> None:
        if self._event_id and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{self._event_id}\n".encode())


async def log_of(cluster: Cluster, service: str, since_s: float) -> str:
    """What a service has said since then (Unix): for whoever looks into a drill that failed."""
    [container] = await cluster.ids([service])
    return await docker("logs", "--since", f"{since_s:.0f}", container)
