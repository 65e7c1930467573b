"""One suite for all providers: every test that takes ``kit`` runs with each adapter, against one real sandbox."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.providers.kits import NAMES, Kit, opened
from tests.integration.sandbox.process import ProviderProcess


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    process = ProviderProcess(tmp_path_factory.mktemp("providers"), {"SANDBOX_SEARCH_LAG_S": "3600"})
    process.start()
    yield process
    process.kill()


@pytest.fixture(params=NAMES)
async def kit(request: pytest.FixtureRequest, sandbox_process: ProviderProcess) -> AsyncIterator[Kit]:
    await sandbox_process.ready()
    async with opened(request.param, sandbox_process) as one:
        yield one


@pytest.fixture
async def stripe(sandbox_process: ProviderProcess) -> AsyncIterator[Kit]:
    await sandbox_process.ready()
    async with opened("stripe", sandbox_process) as one:
        yield one


@pytest.fixture
async def mercadopago(sandbox_process: ProviderProcess) -> AsyncIterator[Kit]:
    await sandbox_process.ready()
    async with opened("mercadopago", sandbox_process) as one:
        yield one
