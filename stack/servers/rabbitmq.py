"""RabbitMQ: one user and one vhost from a definitions file, no plugins, every port on loopback.

With ``RabbitMQTls`` it speaks AMQP by TLS 1.3 only, to clients that show a certificate of its CA; the password is asked
for besides. Without, plain: for tests of other things.

An Erlang node also needs a port mapper (epmd) and a port for its peers. Both are private to this stack, so that a
broker that already runs on the machine is left alone.
"""

import base64
import hashlib
import json
import os
import secrets
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack import tools
from stack.servers.base import NotReady, Server

NODE = "ticketflow@localhost"
# rabbitmqctl starts an Erlang node: 2 s of processor, of which it may get a fifteenth while servers start beside it.
CONTROL_TIMEOUT_S = 60.0
# Erlang keeps the text of PEM files and looks at their times that often; its own default is two minutes.
PEM_CHECK_EVERY_MS = 1000
_AMQP_0_9_1 = b"AMQP\x00\x00\x09\x01"


@dataclass(frozen=True)
class RabbitMQPorts:
    amqp: int
    epmd: int
    distribution: int
    tools: int  # rabbitmqctl is a node too, for as long as it runs


@dataclass(frozen=True)
class RabbitMQTls:
    """PEM files. They may be renewed while it runs."""

    cert: Path
    key: Path
    ca: Path

    def client(self) -> ssl.SSLContext:
        """For whoever has these files: the node's own certificate is good for a client too. Raises OSError."""
        context = ssl.create_default_context(cafile=self.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.cert, self.key)
        return context


class RabbitMQServer(Server):
    """``vhosts`` exist after every start, and ``user`` may do everything in them."""

    name = "rabbitmq"
    stop_timeout_s = 30

    def __init__(
        self,
        home: Path,
        ports: RabbitMQPorts,
        user: str,
        password: str,
        vhosts: Sequence[str] = ("ticketflow",),
        tls: RabbitMQTls | None = None,
    ) -> None:
        super().__init__(home)
        self._ports = ports
        self.login = user
        self.password = password
        self.vhosts = tuple(vhosts)
        self.tls = tls

    def ports(self) -> Mapping[str, int]:
        return {"amqp": self._ports.amqp, "epmd": self._ports.epmd, "erlang": self._ports.distribution}

    def amqp_url(self, vhost: str | None = None) -> str:
        """heartbeat=5: a stuck peer is noticed in seconds; the default of 60 takes three minutes."""
        scheme = "amqp" if self.tls is None else "amqps"
        node = f"{scheme}://{self.login}:{self.password}@127.0.0.1:{self._ports.amqp}"
        return f"{node}/{vhost or self.vhosts[0]}?heartbeat=5&reconnect_interval=1"

    def prepare(self) -> None:
        for folder in ("", "data", "log"):
            self._make_folder(self.home / folder)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)  # Erlang refuses one that others may read
        self._write(self.home / "definitions.json", json.dumps(self._definitions(), indent=2))
        self._write(self.home / "rabbitmq.conf", "".join(f"{name} = {value}\n" for name, value in self._settings()))
        self._write(self.home / "enabled_plugins", "[].\n")

    def command(self) -> list[str]:
        return [tools.rabbitmq("rabbitmq-server"), "-noinput"]

    def environment(self) -> dict[str, str]:
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return super().environment() | {
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_LOGS": "-",  # to stdout: whoever starts it keeps and rotates the log
            "RABBITMQ_DIST_PORT": str(self._ports.distribution),
            # With input allowed the start script becomes the node, rather than waiting beside it: a signal sent to the
            # process then reaches the node, and a kill leaves no orphan behind. `-noinput` takes the input away again.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} -ssl ssl_pem_cache_clean {PEM_CHECK_EVERY_MS}",
            "RABBITMQ_CTL_ERL_ARGS": loopback,
            "RABBITMQ_CTL_DIST_PORT_MIN": str(self._ports.tools),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(self._ports.tools),
            # A node that runs with other settings is another program, which `up` starts anew.
            "TICKETFLOW_LISTENERS": ",".join(f"{name}={value}" for name, value in self._listeners()),
            "ERL_EPMD_PORT": str(self._ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def probe(self) -> None:
        """The broker opens its listener last, when its definitions are in; that it speaks AMQP says the rest."""
        try:
            with self._connection() as connection:
                connection.sendall(_AMQP_0_9_1)
                if not connection.recv(8).startswith(b"\x01\x00\x00"):  # a method frame on channel 0: connection.start
                    raise NotReady("the port is held by something that speaks no AMQP")
        except OSError as error:
            raise NotReady(os.strerror(error.errno) if error.errno else str(error)) from error

    def _connection(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self._ports.amqp), timeout=2)
        if self.tls is None:
            return plain
        try:
            return self.tls.client().wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise

    def control(self, *arguments: str, timeout_s: float = CONTROL_TIMEOUT_S) -> str:
        """Runs rabbitmqctl against this node and returns what it printed. Raises CalledProcessError."""
        command = [tools.rabbitmq("rabbitmqctl"), "--quiet", "--node", NODE, *arguments]
        return subprocess.run(
            command,
            env=self.environment(),
            cwd=self.home,
            check=True,
            text=True,
            capture_output=True,
            timeout=timeout_s,
        ).stdout

    def after_stop(self) -> None:
        """Erlang leaves its port mapper running. It refuses to end while a node is registered, as it should."""
        subprocess.run(
            [tools.find("epmd"), "-kill"],
            env=self.environment(),
            check=False,
            timeout=10,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _settings(self) -> list[tuple[str, str]]:
        return [
            *self._listeners(),
            ("load_definitions", str(self.home / "definitions.json")),
            ("loopback_users.guest", "true"),
            (
                "vm_memory_high_watermark.absolute",
                "512MB",
            ),  # ours is one small queue; the default is 40 % of the machine
            ("disk_free_limit.absolute", "100MB"),
            ("log.console.level", "notice"),  # as which Erlang tells whose certificate it has refused, and why
            ("cluster_name", "ticketflow"),
        ]

    def _listeners(self) -> list[tuple[str, str]]:
        address = f"127.0.0.1:{self._ports.amqp}"
        if self.tls is None:
            return [("listeners.tcp.default", address)]
        return [
            ("listeners.tcp", "none"),
            ("listeners.ssl.default", address),
            ("ssl_options.cacertfile", str(self.tls.ca)),
            ("ssl_options.certfile", str(self.tls.cert)),
            ("ssl_options.keyfile", str(self.tls.key)),
            ("ssl_options.verify", "verify_peer"),
            ("ssl_options.fail_if_no_peer_cert", "true"),
            ("ssl_options.versions.1", "tlsv1.3"),
        ]

    def _definitions(self) -> dict[str, object]:
        return {
            "users": [
                {
                    "name": self.login,
                    "password_hash": _password_hash(self.password),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
            ],
            "vhosts": [{"name": vhost} for vhost in self.vhosts],
            "permissions": [
                {"user": self.login, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
                for vhost in self.vhosts
            ],
        }


def _password_hash(password: str) -> str:
    """RabbitMQ's own form: base64 of a four-byte salt and sha256(salt + password)."""
    salt = hashlib.sha256(b"ticketflow" + password.encode()).digest()[:4]  # the same each time: an unchanged file
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
