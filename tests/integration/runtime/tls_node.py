"""A RabbitMQ that speaks TLS only, and a client that dials it again and again."""

import secrets
import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

from structlog.testing import capture_logs
from yarl import URL

from stack.servers.rabbitmq import RabbitMQPorts, RabbitMQServer, RabbitMQTls
from tests.support.ports import free_port
from tests.support.private_ca import PrivateCa
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


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


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

    def shows_its_files(self) -> bool:
        context = ssl.create_default_context(cafile=self.files[2])
        context.check_hostname = False
        context.load_cert_chain(*self.files[:2])
        with opened(self.port) as plain, context.wrap_socket(plain) as connection:
            connection.sendall(PROTOCOL)
            connection.recv(8)
            shown = connection.getpeercert(binary_form=True)
        return shown == ssl.PEM_cert_to_DER_cert(self.files[0].read_text())

    @property
    def port(self) -> int:
        return URL(self.url).port or 0

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

    async def refused(
        self, files: Files, reason: str, *, by_peer: bool = False, role: str = ROLE, url: str | None = None
    ) -> str:
        """The words of the log line when an attempt ends so. Not the first must: the node may still be taking up its
        files, and its alert may be lost by the reset that follows, which is a `cut`."""
        identity = Identity(*files)

        async def so() -> bool:
            try:
                await self.dial(identity, role=role, url=url)
            except Unavailable as error:
                said = str(error).startswith("RabbitMQ, connecting: TLS failed with")
                return said and (self.lines[-1]["reason"], self.lines[-1]["by_peer"]) == (reason, by_peer)
            return False

        await wait_until(so)
        return str(self.lines[-1]["detail"])
