"""What one stack consists of: its servers, its services and its secrets, put together from its settings."""

import hashlib
from functools import cached_property
from pathlib import Path

from stack.development_ca import rabbitmq_tls
from stack.places import Places
from stack.ports import Ports, ports_of
from stack.programs import (
    FRONT,
    Program,
    Service,
    server_program,
    service_program,
    services,
)
from stack.secret_files import SecretFiles
from stack.servers.mariadb import MariaDBServer
from stack.servers.nginx import NginxServer
from stack.servers.postgres import PostgresServer
from stack.servers.rabbitmq import RabbitMQServer
from stack.settings import ROOT, Settings
from stack.supervision import Supervisor


class Stack:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.places = Places(settings.run)
        self.ports: Ports = ports_of(settings)
        self.secrets = SecretFiles(self.places.secrets)
        self.supervisor = Supervisor(self.places)

    @cached_property
    def postgres(self) -> PostgresServer:
        return PostgresServer(self.places.postgres, self.ports.postgres, self.secrets.get("postgres-admin"))

    @cached_property
    def mariadb(self) -> MariaDBServer:
        return MariaDBServer(self.places.mariadb, self.ports.mariadb, self.secrets.get("mariadb-admin"))

    @cached_property
    def rabbitmq(self) -> RabbitMQServer:
        tls = rabbitmq_tls(self.places.tls)
        password = self.secrets.get("rabbitmq")
        return RabbitMQServer(self.places.rabbitmq, self.ports.rabbitmq, "ticketflow", password, tls=tls)

    @cached_property
    def nginx(self) -> NginxServer:
        upstreams = {
            "RESERVATION": [f"127.0.0.1:{port}" for port in self.ports.reservation_http],
            "BILLING": [f"127.0.0.1:{self.ports.billing_web}"],
            "PORTAL": [f"127.0.0.1:{self.ports.portal}"],
        }
        return NginxServer(self.places.nginx, self.settings.http_port, upstreams)

    @property
    def stores(self) -> tuple[PostgresServer, MariaDBServer, RabbitMQServer]:
        return (self.postgres, self.mariadb, self.rabbitmq)

    @property
    def services(self) -> list[Service]:
        return services(self.ports, self.places.sandbox / "provider.sqlite", self.places.tls)

    def programs(self) -> list[Program]:
        """Every process, in the order in which they are started."""
        return [
            *(server_program(server) for server in self.stores),
            *(service_program(service, self.places.secrets, _code_of(service.module)) for service in self.services),
            server_program(self.nginx, FRONT),
        ]

    def postgres_dsn(self, name: str) -> str:
        return self.postgres.dsn(name, user=name, password=self.secrets.get(f"{name}-database"))

    def write_derived_secrets(self) -> None:
        """What the services are given as one text: it holds ports too, so it is written afresh at every `up`."""
        for name in ("reservation", "portal"):
            self.secrets.put(f"{name}-dsn", self.postgres_dsn(name))
        self.secrets.put("amqp-url", self.rabbitmq.amqp_url())
        for name in ("billing-database", "admin-key", "provider-key", "webhook-secret", "hold-token-key"):
            self.secrets.get(name)


def _code_of(module: str) -> str:
    """A hash of the code that a service runs: its own package, what all share, and the locked libraries."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for folder in (ROOT / module, ROOT / "ticketflow"):
        for path in sorted(_code_files(folder)):
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _code_files(folder: Path) -> list[Path]:
    return [path for pattern in ("*.py", "*.sql") for path in folder.rglob(pattern)]
