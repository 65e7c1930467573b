"""A streaming replica of a running Postgres, made as people make one."""

import subprocess
from pathlib import Path

from stack import account, tools
from stack.servers.postgres import PostgresServer


class StandbyServer(PostgresServer):
    """Of ``primary``, which must run when this is started for the first time; databases and roles are its."""

    def __init__(self, home: Path, port: int, primary: PostgresServer) -> None:
        super().__init__(home, port, primary.admin_password)
        self._primary = primary

    def prepare(self) -> None:
        self._make_folder(self.home)
        if (self.data / "PG_VERSION").exists():
            return
        subprocess.run(
            [
                tools.postgres("pg_basebackup"),
                f"--dbname={self._primary.dsn()}",
                f"--pgdata={self.data}",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--write-recovery-conf",
            ],
            check=True,
            capture_output=True,
            timeout=120,
            **account.credentials(self.user),
        )
