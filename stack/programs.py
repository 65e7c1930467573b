"""The processes of the stack, as a table: each one's command, settings, and how to see that it is ready."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import tools
from stack.development_ca import tls_settings
from stack.ports import Ports
from stack.servers.base import Server
from stack.settings import ROOT


@dataclass(frozen=True)
class Program:
    """One process. ``priority`` orders stopping: the highest first, the same at once."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    directory: Path
    priority: int
    ports: Mapping[str, int]
    user: str | None = None
    stop_signal: str = "TERM"
    stop_timeout_s: int = 20
    ready_port: int | None = None  # a service's /readyz


SERVERS, SERVICES, FRONT = 10, 20, 30


def server_program(server: Server, priority: int = SERVERS) -> Program:
    return Program(
        name=server.name,
        command=server.command(),
        environment=server.environment(),
        directory=server.home,
        priority=priority,
        ports=server.ports(),
        user=server.user,
        stop_signal=server.stop_signal,
        stop_timeout_s=server.stop_timeout_s,
    )


@dataclass(frozen=True)
class Service:
    """A row of the table below. ``settings`` stand without their prefix; ``secrets`` are names of secret files."""

    name: str
    module: str
    argument: str
    http: int
    settings: Mapping[str, object]
    secrets: Mapping[str, str]
    feed: int | None = None
    migrates: bool = False  # one of each module does
    other_ports: tuple[int, ...] = ()


def services(ports: Ports, sandbox_state: Path, tls: Path) -> list[Service]:
    """The table: name, module, arguments, HTTP port, settings, secrets."""
    host = "127.0.0.1"
    admin, tokens = {"ADMIN_KEY": "admin-key"}, {"HOLD_TOKEN_KEYS": "hold-token-key"}
    provider, amqp = {"PROVIDER_KEY": "provider-key"}, {"AMQP_URL": "amqp-url"}

    def feed(port: int) -> dict[str, object]:
        return {"FEED_HOST": host, "FEED_PORT": port}

    to_billing = {"BILLING_FEED": f"{host}:{ports.billing_feed}"}
    to_bridge = {"BRIDGE_FEED": f"{host}:{ports.bridge_feed}"}
    to_reservation = {"RESERVATION_FEED": ",".join(f"{host}:{port}" for port in ports.reservation_feed)}
    reservation = {"DATABASE_DSN": "reservation-dsn", **admin, **tokens}
    billing = {
        "DATABASE_HOSTS": f"{host}:{ports.mariadb}",
        "DATABASE_NAME": "billing",
        "DATABASE_USER": "billing",
        "PROVIDER_URL": f"http://{host}:{ports.sandbox}",
        "LISTENERS": f"{host}:{ports.billing_feed}",
        **to_bridge,
        **feed(ports.billing_feed),
        **tls_settings(tls, "billing"),
    }
    auditing = {
        "BILLING_HOSTS": f"{host}:{ports.mariadb}",
        "BILLING_USER": "billing",
        "PROVIDER_URL": f"http://{host}:{ports.sandbox}",
    }
    auditor_secrets = {
        "RESERVATION_DSN": "reservation-dsn",
        "PORTAL_DSN": "portal-dsn",
        "BILLING_PASSWORD": "billing-database",
        **provider,
    }
    portal = {"DATABASE_DSN": "portal-dsn", **amqp, **admin, **tokens}
    telling = {
        "SMTP_URL": f"smtp://{host}:{ports.mail_smtp}",
        "MAIL_FROM": "tickets@ticketflow.example",
        "PUBLIC_URL": f"http://{host}:{ports.http}",
    }
    bank = {"STATE_PATH": sandbox_state, "WEBHOOK_URL": f"http://{host}:{ports.http}/api/v1/webhooks"}
    bank_secrets = {**provider, "WEBHOOK_SECRETS": "webhook-secret"}
    hooks = {"PROVIDER_WEBHOOK_SECRETS": "webhook-secret"}
    billing_secrets = {"DATABASE_PASSWORD": "billing-database", **provider, **hooks, **admin, **tokens}
    serving = to_billing | tls_settings(tls, "reservation")
    bridging = feed(ports.bridge_feed) | tls_settings(tls, "bridge")
    replicas = [
        Service(f"reservation-{n}", "reservation", "serve", http, serving | feed(port), reservation, port, n == 1)
        for n, http, port in zip((1, 2), ports.reservation_http, ports.reservation_feed, strict=True)
    ]
    return [
        Service("sandbox", "sandbox", "provider", ports.sandbox, bank, bank_secrets),
        Service(
            "mail",
            "sandbox",
            "mail",
            ports.mail_http,
            {"SMTP_HOST": host, "SMTP_PORT": ports.mail_smtp},
            {},
            other_ports=(ports.mail_smtp,),
        ),
        *replicas,
        Service("billing-web", "billing", "web", ports.billing_web, billing, billing_secrets, migrates=True),
        Service(
            "billing-listener",
            "billing",
            "listener",
            ports.billing_listener,
            billing,
            billing_secrets,
            ports.billing_feed,
        ),
        Service("bridge", "bridge", "serve", ports.bridge_http, bridging, amqp, ports.bridge_feed),
        Service(
            "portal",
            "portal",
            "serve",
            ports.portal,
            to_reservation | telling | tls_settings(tls, "portal"),
            portal,
            migrates=True,
        ),
        Service("auditor", "audit", "watch", ports.auditor, auditing, auditor_secrets),
    ]


def service_environment(service: Service, secrets: Path) -> dict[str, str]:
    """The settings of a service as environment variables; secrets as paths."""
    prefix = service.module.upper()
    return {
        "PATH": tools.search_path(),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        f"{prefix}_INSTANCE": service.name,
        f"{prefix}_LOG_LEVEL": "info",
        f"{prefix}_HTTP_HOST": "127.0.0.1",
        f"{prefix}_HTTP_PORT": str(service.http),
        **{f"{prefix}_{name}": str(value) for name, value in service.settings.items()},
        **{f"{prefix}_{name}_FILE": str(secrets / file) for name, file in service.secrets.items()},
    }


def service_program(service: Service, secrets: Path, code: str) -> Program:
    """``code`` names the state of the code: a change of it is a change of the program, so that `up` restarts it."""
    ports = {f"{service.name} http": service.http}
    if service.feed is not None:
        ports[f"{service.name} feed"] = service.feed
    ports |= {f"{service.name} {port}": port for port in service.other_ports}
    return Program(
        name=service.name,
        command=[sys.executable, "-m", service.module, service.argument],
        environment=service_environment(service, secrets) | {"TICKETFLOW_CODE": code},
        directory=ROOT,
        priority=SERVICES,
        ports=ports,
        ready_port=service.http,
    )
