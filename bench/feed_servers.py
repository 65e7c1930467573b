"""What the peers of the feed need beside their libraries: a nats-server, and certificates of a private CA."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.run import Run
from stack import tools
from stack.credentials import authority

START_TIMEOUT_S = 10.0
END_TIMEOUT_S = 5.0


@asynccontextmanager
async def nats_server(run: Run) -> AsyncIterator[str]:
    """A nats-server of its own, with JetStream on files; its URL."""
    program = shutil.which("nats-server", path=tools.search_path())
    assert program is not None, "nats-server is not installed: `python -m bench.install`"
    port = run.port()
    with run.folder() as folder, (folder / "log").open("wb") as log:
        arguments = ("--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(folder))
        process = await asyncio.create_subprocess_exec(program, *arguments, stdout=log, stderr=log)
        try:
            await _listens(port)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()


async def _listens(port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def certificates(folder: Path) -> tuple[str, str, str]:
    """Paths of certificate, key and CA, good for both ends on `localhost`."""
    now = datetime.now(UTC)
    ca_key, key = authority.private_key(), authority.private_key()
    ca = authority.root_certificate(ca_key, now)
    leaf = authority.leaf_certificate(key, ca_key, ca, "bench", ["localhost"], "spiffe://ticketflow/bench", now)
    files = folder / "feed.crt", folder / "feed.key", folder / "ca.crt"
    for file, text in zip(files, (leaf, key, ca), strict=True):
        file.write_text(text)
    cert, private, trusted = map(str, files)
    return cert, private, trusted
