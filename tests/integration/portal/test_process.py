"""``python -m portal``, ``python -m bridge``: settings, migrations, SIGTERM."""

import asyncio
import os
import signal
import sys

import aiohttp
import pytest

from tests.support.databases import Database
from tests.support.ports import free_port
from tests.support.waiting import wait_until

FAST = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}


IMPATIENT = """
import sys
from portal import __main__, service
service.PATIENCE_S = 0.0  # else it waits a minute for a server that is not there
sys.exit(__main__.main())
"""


async def ran(*command: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of a module, or of ``-c`` and a program."""
    what = command if command[0] == "-c" else ("-m", *command)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *what, env=FAST | environment, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


@pytest.mark.parametrize("module", ["bridge", "portal"])
async def test_settings_that_are_missing_are_all_named(module: str) -> None:
    code, said = await ran(module, "serve")

    assert code == 2
    for name in ("HTTP_PORT", "AMQP_URL"):
        assert f"{module.upper()}_{name}" in said
    assert "Traceback" not in said


async def test_half_of_the_tls_settings_is_refused() -> None:
    code, said = await ran(
        "bridge",
        "serve",
        BRIDGE_HTTP_PORT="1",
        BRIDGE_FEED_PORT="2",
        BRIDGE_AMQP_URL="amqp://a:b@localhost",
        BRIDGE_FEED_TLS_CA="x",
    )

    assert code == 2
    assert "BRIDGE_FEED_TLS_CERT" in said


async def test_migrating_twice_and_without_a_server(postgres_database: Database) -> None:
    assert (await ran("portal", "migrate", PORTAL_DATABASE_DSN=postgres_database.dsn))[0] == 0
    code, said = await ran("portal", "migrate", PORTAL_DATABASE_DSN=postgres_database.dsn)
    assert (code, "0 migrations applied" in said) == (0, True)

    code, said = await ran("-c", IMPATIENT, "migrate", PORTAL_DATABASE_DSN="postgresql://a:secret@127.0.0.1:1/x")
    assert code == 1
    assert "Traceback" not in said
    assert "secret" not in said


async def test_both_start_without_their_neighbours_and_end_on_sigterm() -> None:
    nowhere = "127.0.0.1:1"
    bridge, portal = free_port(), free_port()
    environment = FAST | {
        "BRIDGE_HTTP_PORT": str(bridge),
        "BRIDGE_FEED_PORT": str(free_port()),
        "BRIDGE_AMQP_URL": f"amqp://a:b@{nowhere}/",
        "PORTAL_HTTP_PORT": str(portal),
        "PORTAL_DATABASE_DSN": f"postgresql://a:b@{nowhere}/x",
        "PORTAL_AMQP_URL": f"amqp://a:b@{nowhere}/",
        "PORTAL_RESERVATION_FEED": nowhere,
        "PORTAL_ADMIN_KEY": "k",
    }
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", module, "serve", env=environment)
        for module in ("bridge", "portal")
    ]
    try:
        async with aiohttp.ClientSession() as client:
            for port, failing in ((bridge, {"rabbitmq"}), (portal, {"postgres", "consumer"})):

                async def alive(port: int = port) -> bool:
                    async with client.get(f"http://127.0.0.1:{port}/healthz") as response:
                        return response.status == 200

                await wait_until(alive, 40)
                async with client.get(f"http://127.0.0.1:{port}/readyz") as response:
                    assert response.status == 503
                    assert set((await response.json())["failing"]) == failing
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            codes = [await process.wait() for process in processes]
    assert codes == [0, 0]
