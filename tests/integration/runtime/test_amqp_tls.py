"""RabbitMQ by mutual TLS 1.3: who gets in, whom we talk to, what both logs say, certificates that change meanwhile."""

import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from yarl import URL

from stack.servers.rabbitmq import RabbitMQPorts, RabbitMQServer, RabbitMQTls
from tests.support.ports import free_port
from tests.support.private_ca import FAR_AHEAD, LONG_AGO, PrivateCa
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events.topology import Binding, Exchange, Queue, Topology
from ticketflow.feed.identity import Identity, Tls
from ticketflow.runtime.amqp import Broker, Outgoing, Session
from ticketflow.runtime.amqp_tls import NodeTls
from ticketflow.runtime.errors import Unavailable

ONE_QUEUE = Topology((Exchange("things"),), (Queue("box"),), (Binding("things", "box", "#"),))
MESSAGE = Outgoing("things", "thing.made", {}, b"text")
ROLE = "spiffe://ticketflow/rabbitmq"
PROTOCOL = b"AMQP\x00\x00\x09\x01"

Files = tuple[Path, Path, Path]


class Node:
    """One broker for all tests here; its certificate is for `localhost` and 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.ca = PrivateCa(folder)
        self.stranger = PrivateCa(folder, "stranger")
        self.reset()
        ports = RabbitMQPorts(amqp=free_port(), epmd=free_port(), distribution=free_port(), tools=free_port())
        tls = RabbitMQTls(*self.files)
        server = RabbitMQServer(folder / "rabbitmq-tls", ports, "test", secrets.token_hex(16), tls=tls)
        self.running = RunningServer(server, folder / "rabbitmq-tls.log")

    def reset(self) -> None:
        self.files = self.ca.issue("rabbitmq")

    @property
    def url(self) -> str:
        return self.running.server.amqp_url()

    def logs(self) -> str:
        return self.running.log.read_text(errors="replace")


class Client:
    """A service that dials again and again. ``lines``: what it logged of TLS."""

    def __init__(self, node: Node, at_end: AsyncExitStack) -> None:
        self._node = node
        self._at_end = at_end
        self.lines: list[dict[str, object]] = []

    async def dial(self, identity: Identity, *, role: str = ROLE, url: str | None = None) -> Session:
        """One attempt. Raises Unavailable."""
        tls = NodeTls(Tls(identity, frozenset({role})))
        broker = Broker(url or self._node.url, ONE_QUEUE, name="test", tls=tls)
        self._at_end.push_async_callback(broker.close)
        with capture_logs() as lines:
            try:
                return await broker.session()
            finally:
                self.lines += [dict(line) for line in lines if line["event"] == "amqp_tls_failed"]

    async def refused(self, files: Files, *, role: str = ROLE, url: str | None = None) -> dict[str, object]:
        """The log line of the last attempt: a verdict. A node's alert can be lost by its reset, which is a cut."""
        identity = Identity(*files)

        async def verdict() -> bool:
            with pytest.raises(Unavailable, match="TLS failed with"):
                await self.dial(identity, role=role, url=url)
            return self.lines[-1]["reason"] != "cut"

        await wait_until(verdict)
        return self.lines[-1]


@pytest.fixture(scope="module")
def started(servers_folder: Path) -> Iterator[Node]:
    node = Node(servers_folder)
    try:
        node.running.start()
        yield node
    finally:
        node.running.stop()


@pytest.fixture
def node(started: Node) -> Iterator[Node]:
    yield started
    started.reset()


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    async with AsyncExitStack() as at_end:
        yield Client(node, at_end)


def nodes_end(session: Session) -> datetime:
    """Of the certificate that the node showed in this session."""
    transport = session._connection.transport
    assert transport is not None
    writer = transport.connection._writer_task.get_coro().cr_frame.f_locals["writer"]  # type: ignore[attr-defined]
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(writer.get_extra_info("peercert")["notAfter"]), UTC)


def counted(reason: str, by: str) -> float:
    labels = {"role": "amqp", "reason": reason, "by": by}
    return REGISTRY.get_sample_value("feed_tls_faults_total", labels) or 0.0


# -- who is let in


async def test_a_certificate_of_our_ca_and_the_password_open_a_session(node: Node, client: Client) -> None:
    session = await client.dial(Identity(*node.ca.issue("bridge")))

    assert (await session.publish([MESSAGE])).failure is None
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

    line = await client.refused(files)

    assert (line["reason"], line["by_peer"], line["detail"]) == (reason, True, detail)
    assert line["node"] == f"127.0.0.1:{URL(node.url).port}"
    assert counted(reason, "peer") > before
    await wait_until(lambda: brokers_word in node.logs()[known:])


def attempt_of(context: ssl.SSLContext, port: int) -> bytes:
    """What a node answers to the first bytes of AMQP."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(PROTOCOL)
            return connection.recv(8)


async def test_nobody_gets_in_without_a_certificate(node: Node) -> None:
    known = len(node.logs())
    context = ssl.create_default_context(cafile=node.files[2])

    with pytest.raises(OSError, match="certificate required|reset"):
        attempt_of(context, URL(node.url).port or 0)

    await wait_until(lambda: "Certificate required" in node.logs()[known:])


async def test_tls_1_2_and_plain_text_are_refused(node: Node) -> None:
    port = URL(node.url).port or 0
    context = node.running.server.tls.client() if node.running.server.tls else None
    assert context is not None
    assert attempt_of(context, port)[:1] == b"\x01", "as it stands it would be let in"
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(OSError, match="protocol version|reset"):
        attempt_of(context, port)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(PROTOCOL)
        assert plain.recv(8)[:1] != b"\x01", "no AMQP without TLS"


# -- whom we talk to


async def test_a_node_of_another_ca_is_told_nothing(node: Node, client: Client) -> None:
    line = await client.refused(node.ca.issue("bridge", trusts=[node.stranger]))

    assert (line["reason"], line["by_peer"]) == ("unknown_ca", False)


async def test_a_node_of_another_role_is_told_nothing(node: Node, client: Client) -> None:
    line = await client.refused(node.ca.issue("bridge"), role="spiffe://ticketflow/other")

    assert (line["reason"], line["by_peer"]) == ("not_allowed", False)
    assert ROLE in str(line["detail"])


async def test_a_node_under_another_name_is_told_nothing(node: Node, client: Client) -> None:
    node.files = node.ca.issue("rabbitmq", hosts=("rabbitmq1",))

    async def of_another_name() -> bool:
        with pytest.raises(Unavailable):
            await client.dial(Identity(*node.ca.issue("bridge")))
        return client.lines[-1]["reason"] == "wrong_host"

    await wait_until(of_another_name)


async def test_a_node_whose_certificate_has_ended_is_told_nothing(node: Node, client: Client) -> None:
    node.files = node.ca.issue("rabbitmq", shifted=LONG_AGO)
    identity = Identity(*node.ca.issue("bridge"))

    async def has_ended() -> bool:
        with pytest.raises(Unavailable):
            await client.dial(identity)
        return (client.lines[-1]["reason"], client.lines[-1]["by_peer"]) == ("expired", False)

    await wait_until(has_ended)


async def test_a_node_without_tls_gets_no_password(client: Client, node: Node, rabbitmq_vhost: str) -> None:
    line = await client.refused(node.ca.issue("bridge"), url=rabbitmq_vhost.replace("amqp:", "amqps:"))

    assert (line["reason"], line["by_peer"]) == ("plain_text", False)


def test_no_amqps_without_certificates_of_ours(node: Node) -> None:
    with pytest.raises(ValueError, match="no certificates"):
        Broker(node.url, ONE_QUEUE, name="test")


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


