"""Older copies of a running stack's stores, and what `python -m audit` says of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stack.programs import service_environment
from tests.support.backups import back_up_mariadb, back_up_postgres, restore_mariadb, restore_postgres
from tests.support.commands import Said, module
from tests.support.databases import Database
from tests.support.ring import Ring

PROCESSES = {
    "reservation": ("reservation-1", "reservation-2"),
    "billing": ("billing-web", "billing-listener"),
    "portal": ("portal",),
}


class Restoring:
    """Copies go to ``folder``."""

    def __init__(self, ring: Ring, folder: Path) -> None:
        self.ring = ring
        self._folder = folder

    async def copy(self, service: str) -> Path:
        """Of its database as it is now; the service goes on."""
        back_up = back_up_mariadb if service == "billing" else back_up_postgres
        return await asyncio.to_thread(back_up, self._database(service), self._folder)

    async def restore(self, service: str, copy: Path) -> None:
        """Its processes die, its database is that of ``copy`` again, its processes start."""
        processes = PROCESSES[service]
        await asyncio.gather(*(self.ring.stop_program(name, sigkill=True) for name in processes))
        try:
            if service == "billing":
                await asyncio.to_thread(restore_mariadb, self._database(service), copy)
            else:
                admin = self.ring.stack.postgres.dsn()
                await asyncio.to_thread(restore_postgres, self._database(service), copy, admin)
        finally:
            for name in processes:
                await self.ring.start(name)

    async def audit(self, *arguments: str) -> Said:
        """``python -m audit ...``, as after `make run`: of the streams. What a restore lost of sales stays lost."""
        if arguments[:1] != ("resolve",):
            arguments = ("--only", "streams", *arguments)
        return await module("audit", {"TICKETFLOW_RUN_DIR": str(self.ring.stack.settings.run)}, *arguments)

    async def stream(self, service: str, *arguments: str) -> Said:
        """``python -m SERVICE stream ...``, with the settings of the service."""
        row = next(row for row in self.ring.stack.services if row.module == service)
        environment = service_environment(row, self.ring.stack.places.secrets)
        return await module(service, environment, "stream", *arguments)

    async def findings(self) -> set[tuple[str, str, str]]:
        """What is unresolved: where, what, of which stream. Asserts that the exit code says so too."""
        said = await self.audit("--json")
        found = {
            (at, finding["what"], finding["stream"])
            for at, store in said.json["stores"].items()
            for finding in store["findings"]
        }
        assert said.code == int(bool(found)), said
        return found

    async def ends_agree(self) -> bool:
        """Whether all that was sent has arrived, in every stream. What does not agree is in the AssertionError."""
        ends = [end for store in (await self.audit("--json")).json["stores"].values() for end in store["ends"]]
        for sender in (end for end in ends if end["side"] == "out" and end["upto_seq"]):
            assert sender["unacked"] == 0, sender
            receivers = [end for end in ends if end["side"] == "in" and end["stream"] == sender["stream"]]
            assert [_position(end) for end in receivers] == [_position(sender)], (sender, receivers)
        return True

    def _database(self, service: str) -> Database:
        stack = self.ring.stack
        port = stack.ports.mariadb if service == "billing" else stack.ports.postgres
        return Database("127.0.0.1", port, service, service, stack.secrets.get(f"{service}-database"))


def _position(end: Any) -> Sequence[int]:
    return (end["epoch"], end["upto_seq"])
