"""Postgres: data checksums, scram-sha-256, durable commits, loopback TCP only."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import psycopg

from stack import account, tools
from stack.servers.base import NotReady, Server

ADMIN = "postgres"


class PostgresServer(Server):
    """``home/data`` is the cluster; ``admin_password`` is the superuser's, set when the cluster is made."""

    name = "postgres"
    stop_signal = "INT"  # fast: ends the sessions and writes a checkpoint; TERM would wait for every client to leave

    def __init__(self, home: Path, port: int, admin_password: str) -> None:
        super().__init__(home)
        self.port = port
        self.admin_password = admin_password
        self.user = account.stand_in_for_root("postgres")

    @property
    def data(self) -> Path:
        return self.home / "data"

    def dsn(self, database: str = "postgres", user: str = ADMIN, password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self.admin_password}@127.0.0.1:{self.port}/{database}"

    def ports(self) -> Mapping[str, int]:
        return {"postgres": self.port}

    def prepare(self) -> None:
        self._make_folder(self.home)
        if (self.data / "PG_VERSION").exists():
            return
        # initdb is not atomic: what a killed one left behind is no cluster, so each one works in a fresh folder.
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self._write(self.home / "admin-password", self.admin_password)
        try:
            self._run(
                [
                    tools.postgres("initdb"),
                    f"--pgdata={unfinished}",
                    f"--username={ADMIN}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--data-checksums",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",  # on every Debian, and sorts by bytes
                ],
                "making the cluster",
            )
        finally:
            password_file.unlink()
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",  # nothing needs one, and its path may be too long for a socket
            "max_connections": 200,  # two replicas, portal, relays, LISTEN connections, and a test session's pools
            "shared_buffers": "256MB",  # memory is taken as it is needed
            "max_wal_size": "2GB",  # with 512 MB full load makes a checkpoint a minute, and whole pages of log
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [tools.postgres("postgres"), "-D", str(self.data), *flags]

    def probe(self) -> None:
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise NotReady(str(error).strip().splitlines()[-1]) from error
