"""Which port is whose: fixed offsets from one base, all on loopback."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from stack.errors import StackError
from stack.servers.rabbitmq import RabbitMQPorts
from stack.settings import Settings


@dataclass(frozen=True)
class Ports:
    base: int
    http: int

    @property
    def postgres(self) -> int:
        return self.base

    @property
    def mariadb(self) -> int:
        return self.base + 1

    @property
    def rabbitmq(self) -> RabbitMQPorts:
        return RabbitMQPorts(amqp=self.base + 2, epmd=self.base + 3, distribution=self.base + 4, tools=self.base + 6)

    @property
    def sandbox(self) -> int:
        return self.base + 5

    @property
    def mail_smtp(self) -> int:
        return self.base + 7

    @property
    def mail_http(self) -> int:
        return self.base + 8

    @property
    def reservation_http(self) -> tuple[int, int]:
        return (self.base + 10, self.base + 11)

    @property
    def reservation_feed(self) -> tuple[int, int]:
        return (self.base + 12, self.base + 13)

    @property
    def billing_web(self) -> int:
        return self.base + 20

    @property
    def billing_listener(self) -> int:
        return self.base + 21

    @property
    def billing_feed(self) -> int:
        return self.base + 22

    @property
    def bridge_feed(self) -> int:
        return self.base + 30

    @property
    def bridge_http(self) -> int:
        return self.base + 31

    @property
    def portal(self) -> int:
        return self.base + 40


def ports_of(settings: Settings) -> Ports:
    return Ports(settings.port_base, settings.http_port)


def check_free(settings: Settings, wanted: Mapping[str, int]) -> None:
    """Raises StackError when one of the ports, by what each is for, is taken by something else."""
    for purpose, port in wanted.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
            try:
                probe.bind(("127.0.0.1", port))
            except PermissionError as error:
                raise StackError(f"port {port} ({purpose}) needs root: {_advice(settings, port)}") from error
            except OSError as error:
                raise StackError(f"port {port} ({purpose}) is in use: {_advice(settings, port)}") from error


def _advice(settings: Settings, port: int) -> str:
    if port == settings.http_port:
        return f"stop what uses it, or set TICKETFLOW_HTTP_PORT (now {settings.http_port})"
    return f"stop what uses it, or set TICKETFLOW_PORT_BASE (now {settings.port_base})"
