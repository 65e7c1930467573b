"""RabbitMQ by mutual TLS 1.3: who gets in, whom we talk to, what both logs say, certificates that change meanwhile."""

import asyncio
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from yarl import URL

from tests.integration.runtime.tls_node import MESSAGE, ONE_QUEUE, PROTOCOL, ROLE, Client, Node, opened
from tests.support.ports import free_port
from tests.support.private_ca import FAR_AHEAD, LONG_AGO
from tests.support.waiting import wait_until
from ticketflow.feed.identity import Identity
from ticketflow.runtime.amqp import Broker, Session
from ticketflow.runtime.errors import Unavailable

# Closing one takes 0.2 s. To hear the goodbye of a node that is dead would take 2 s each.
SILENT, SILENT_CLOSED_S = 5, 6.0


def module_at(path: Path) -> Any:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def started(servers_folder: Path) -> Iterator[Node]:
    node = Node(servers_folder)
    try:
        node.running.start()
        yield node
    finally:
        node.running.stop()


@pytest.fixture
async def node(started: Node) -> AsyncIterator[Node]:
    yield started
    started.reset()
    await wait_until(started.shows_its_files)


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    async with AsyncExitStack() as at_end:
        yield Client(node, at_end)


def nodes_end(session: Session) -> datetime:
    """Of the certificate that the node showed in this session."""
    transport = session._connection.transport
    assert transport is not None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(transport.get_extra_info("peercert")["notAfter"]), UTC)


def counted(reason: str, by: str) -> float:
    labels = {"role": "amqp", "reason": reason, "by": by}
    return REGISTRY.get_sample_value("feed_tls_faults_total", labels) or 0.0


# -- who is let in


async def test_a_certificate_of_our_ca_and_the_password_open_a_session(node: Node, client: Client) -> None:
    session = await client.dial(Identity(*node.ca.issue("bridge")))

    assert await session.publish([MESSAGE] * 1500) == (1500, None)
    assert client.lines == []


async def test_a_certificate_does_not_stand_in_for_the_password(node: Node, client: Client) -> None:
    wrong = str(URL(node.url).with_password("wrong"))

    with pytest.raises(Unavailable, match="ACCESS_REFUSED"):
        await client.dial(Identity(*node.ca.issue("bridge")), url=wrong)


@pytest.mark.parametrize(
    ("whose", "shifted", "reason", "detail", "brokers_word"),
    [
        ("ca", LONG_AGO, "expired", "it says that our certificate has expired", "Certificate Expired"),
        ("ca", FAR_AHEAD, "expired", "it says that our certificate has expired", "Certificate Expired"),
        ("stranger", timedelta(), "unknown_ca", "it says that our certificate is not of its CA", "Unknown CA"),
    ],
    ids=["expired", "not-yet-valid", "of-another-ca"],
)
async def test_a_wrong_certificate_is_refused_and_both_logs_say_why(
    node: Node, client: Client, whose: str, shifted: timedelta, reason: str, detail: str, brokers_word: str
) -> None:
    known, before = len(node.logs()), counted(reason, "peer")
    files = getattr(node, whose).issue("bridge", shifted=shifted, trusts=[node.ca])

    assert await client.refused(files, reason, by_peer=True) == detail

    assert {line["reason"] for line in client.lines} <= {reason, "cut"}
    assert {line["node"] for line in client.lines} == {f"127.0.0.1:{node.port}"}
    assert counted(reason, "peer") > before
    await wait_until(lambda: brokers_word in node.logs()[known:])


def attempt_of(context: ssl.SSLContext, port: int) -> bytes:
    """What a node answers to the first bytes of AMQP."""
    with opened(port) as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(PROTOCOL)
        return connection.recv(8)


async def test_nobody_gets_in_without_a_certificate(node: Node) -> None:
    known = len(node.logs())
    context = ssl.create_default_context(cafile=node.files[2])

    with pytest.raises(OSError, match=r"certificate required|reset|EOF"):
        attempt_of(context, node.port)

    await wait_until(lambda: "Certificate required" in node.logs()[known:])


async def test_tls_1_2_and_plain_text_are_refused(node: Node) -> None:
    port = node.port
    context = node.running.server.tls.client() if node.running.server.tls else None
    assert context is not None
    assert attempt_of(context, port)[:1] == b"\x01", "as it stands it would be let in"
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(OSError, match=r"protocol version|reset|EOF"):
        attempt_of(context, port)
    with opened(port) as plain:
        plain.sendall(PROTOCOL)
        assert plain.recv(8)[:1] != b"\x01", "no AMQP without TLS"


# -- whom we talk to


async def test_a_node_of_another_ca_is_told_nothing(node: Node, client: Client) -> None:
    await client.refused(node.ca.issue("bridge", trusts=[node.stranger]), "unknown_ca")


async def test_a_node_of_another_role_is_told_nothing(node: Node, client: Client) -> None:
    assert ROLE in await client.refused(node.ca.issue("bridge"), "not_allowed", role="spiffe://ticketflow/other")


async def test_a_node_under_another_name_is_told_nothing(node: Node, client: Client) -> None:
    node.files = node.ca.issue("rabbitmq", hosts=("rabbitmq1",))
    await client.refused(node.ca.issue("bridge"), "wrong_host")


async def test_a_node_whose_certificate_has_ended_is_told_nothing(node: Node, client: Client) -> None:
    node.files = node.ca.issue("rabbitmq", shifted=LONG_AGO)
    await client.refused(node.ca.issue("bridge"), "expired")


async def test_a_node_without_tls_is_told_nothing(node: Node, client: Client) -> None:
    heard: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As RabbitMQ does with what is no AMQP: it says which version it speaks, and hangs up."""
        heard.append(await reader.read(4096))
        writer.write(PROTOCOL)
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        url = URL(node.url).with_port(server.sockets[0].getsockname()[1])
        await client.refused(node.ca.issue("bridge"), "plain_text", url=str(url))

    assert heard
    assert not any(node.running.server.password.encode() in each for each in heard)


def test_no_amqps_without_certificates_of_ours(node: Node) -> None:
    with pytest.raises(ValueError, match="no certificates"):
        Broker(node.url, ONE_QUEUE, name="test")


async def test_a_node_of_the_cluster_asks_another_whether_it_serves(node: Node, tmp_path: Path) -> None:
    for name, path in zip(("tls.crt", "tls.key", "ca.crt"), node.files, strict=True):
        shutil.copy(path, tmp_path / name)
    ask = module_at(Path(__file__).parents[3] / "rabbitmq/serves.py").serves

    assert await asyncio.to_thread(ask, "localhost", node.port, tmp_path)
    assert not await asyncio.to_thread(ask, "localhost", free_port(), tmp_path), "nobody is there"
    (tmp_path / "ca.crt").write_text(node.stranger.pem)
    assert not await asyncio.to_thread(ask, "localhost", node.port, tmp_path), "it is somebody else"


async def test_a_node_that_went_silent_does_not_hold_up_the_next_session(node: Node, client: Client) -> None:
    identity = Identity(*node.ca.issue("bridge"))
    sessions = [await client.dial(identity) for _ in range(SILENT)]
    node.running.freeze()
    try:
        started = time.monotonic()
        for session in sessions:
            session.give_up("the broker does not answer")
            await session.close()
        assert time.monotonic() - started < SILENT_CLOSED_S
    finally:
        node.running.thaw()


# -- certificates that change


async def test_new_sessions_use_renewed_certificates_and_the_old_one_goes_on(node: Node, client: Client) -> None:
    identity = Identity(*node.ca.issue("bridge", shifted=timedelta(days=-10)))
    old = await client.dial(identity)
    node.files = node.ca.issue("rabbitmq", shifted=timedelta(days=-20))
    renewed = identity.ends_at + timedelta(days=10)
    node.ca.issue("bridge")

    async def both_are_new() -> bool:
        session = await client.dial(identity)
        return nodes_end(session) < nodes_end(old) and identity.ends_at >= renewed

    await wait_until(both_are_new)
    assert (await old.publish([MESSAGE])).failure is None
    assert node.running.running


async def test_a_ca_that_takes_over_is_trusted_while_sessions_stand(node: Node, client: Client) -> None:
    old = await client.dial(Identity(*node.ca.issue("portal")))
    newcomer = Identity(*node.stranger.issue("bridge", trusts=[node.ca]))
    with pytest.raises(Unavailable):
        await client.dial(newcomer)

    node.files = node.ca.issue("rabbitmq", trusts=[node.ca, node.stranger])

    async def let_in() -> bool:
        return (await client.dial(newcomer)).lost is None

    await wait_until(let_in)
    assert (await old.publish([MESSAGE])).failure is None
