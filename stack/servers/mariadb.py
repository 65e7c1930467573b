"""MariaDB: every commit flushed, no binary log, utf8mb4, loopback TCP only."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pymysql

from stack import account, tools
from stack.servers.base import NotReady, Server

ADMIN = "admin"
# At most: memory is taken as it is needed. With 64 and 32 the server wrote pages without end under load, and within
# some hundred thousand sales the CPU of an event grew from 49 to 89 us.
POOL_SIZE = "512M"
LOG_SIZE = "512M"


class MariaDBServer(Server):
    """``home/data`` is the data folder; the only account at first is ``admin``, from loopback."""

    name = "mariadb"

    def __init__(self, home: Path, port: int, admin_password: str) -> None:
        super().__init__(home)
        self.port = port
        self.admin_password = admin_password

    @property
    def data(self) -> Path:
        return self.home / "data"

    def ports(self) -> Mapping[str, int]:
        return {"mariadb": self.port}

    def prepare(self) -> None:
        self._make_folder(self.home)
        self._make_folder(self.home / "tmp")
        if self.data.exists():
            return
        unfinished = self.home / "data.new"  # as with Postgres: a killed installation leaves no half data folder
        shutil.rmtree(unfinished, ignore_errors=True)
        accounts = self._write(
            self.home / "accounts.sql",
            # The installer's own accounts have no passwords. skip-name-resolve knows loopback by its address only.
            "FLUSH PRIVILEGES;\n"
            f"CREATE USER '{ADMIN}'@'127.0.0.1' IDENTIFIED BY '{self.admin_password}';\n"
            f"GRANT ALL ON *.* TO '{ADMIN}'@'127.0.0.1' WITH GRANT OPTION;\n"
            "DELETE FROM mysql.global_priv WHERE User NOT IN ('admin', 'mariadb.sys');\n"
            "FLUSH PRIVILEGES;\n",
        )
        try:
            self._run(
                [
                    tools.find("mariadb-install-db"),
                    "--no-defaults",
                    f"--datadir={unfinished}",
                    # Of its own: a MariaDB that starts sweeps its folder for temporary tables, other servers' too.
                    f"--tmpdir={self.home / 'tmp'}",
                    f"--extra-file={accounts}",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                    f"--innodb-log-file-size={LOG_SIZE}",
                    *self._run_as(),
                ],
                "making the data folder",
            )
        finally:
            accounts.unlink()
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        settings = {
            "datadir": self.data,
            "tmpdir": self.home / "tmp",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "socket": "mariadb.sock",  # below the data folder: a full path may be too long for a socket
            "pid-file": "mariadb.pid",
            "innodb-flush-log-at-trx-commit": 1,
            "innodb-buffer-pool-size": POOL_SIZE,
            "innodb-log-file-size": LOG_SIZE,
            "max-connections": 200,
            "character-set-server": "utf8mb4",
            "collation-server": "utf8mb4_bin",  # names are compared as they are written
            "default-time-zone": "+00:00",
            "performance-schema": "OFF",
        }
        return [
            tools.find("mariadbd"),
            "--no-defaults",
            *(f"--{name}={value}" for name, value in settings.items()),
            "--skip-log-bin",
            "--skip-name-resolve",
            *self._run_as(),
        ]

    def connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """A connection of the admin, autocommit on."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=ADMIN,
            password=self.admin_password,
            connect_timeout=2,
            read_timeout=30,
            autocommit=True,
        )

    def probe(self) -> None:
        try:
            with self.connect() as connection:
                connection.ping(reconnect=False)
        except pymysql.err.OperationalError as error:
            raise NotReady(str(error.args[-1])) from error

    @staticmethod
    def _run_as() -> list[str]:
        return ["--user=root"] if account.is_root() else []  # mariadbd is root only when told so by name
