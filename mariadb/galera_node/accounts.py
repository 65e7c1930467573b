"""The accounts of the cluster, made from the credentials by whichever node finds that they are not so yet.

Every node looks once after each start; what it changes is replicated. So a changed password takes one restarted node.
"""

import hashlib
import subprocess
from dataclasses import dataclass

from mariadb.galera_node.settings import Settings, credential

DATABASE = "billing"
TIMEOUT_S = 10
ACCOUNTS = """
SELECT CONCAT(User, '@', Host), JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv
 WHERE User IN ('root', 'billing', 'audit', 'monitor', 'check')"""


@dataclass(frozen=True)
class Account:
    """``grant`` ends a GRANT statement; ``secret`` is a credential's name, None for no password."""

    user: str
    host: str
    grant: str
    secret: str | None
    limits: str = ""

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}"

    def digest(self) -> str:
        return native_digest(credential(self.secret)) if self.secret else ""

    def statements(self) -> list[str]:
        who = f"'{self.user}'@'{self.host}'"
        return [
            f"CREATE USER IF NOT EXISTS {who}",
            f"ALTER USER {who} IDENTIFIED VIA mysql_native_password USING '{self.digest()}'{self.limits}",
            f"GRANT {self.grant} TO {who}",
        ]


def native_digest(password: str) -> str:
    """What the server stores. ProxySQL and our driver understand no better digest; hence long random passwords."""
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()  # noqa: S324


def wanted(subnet: str, *, check_account: bool) -> list[Account]:
    """``subnet`` is a host pattern. Nobody comes from outside the tier, and root not through the network."""
    accounts = [
        Account("root", "localhost", "ALL ON *.*", "root-password"),
        Account("billing", subnet, f"ALL ON {DATABASE}.*", "billing-password"),
        Account("audit", subnet, f"SELECT ON {DATABASE}.*", "audit-password"),
        Account("monitor", subnet, "REPLICATION CLIENT ON *.*", "monitor-password"),
    ]
    if check_account:
        # HAProxy cannot compute an answer to the server's challenge. The account may do nothing but ask for the status.
        accounts.append(Account("check", subnet, "USAGE ON *.*", None, " WITH MAX_USER_CONNECTIONS 20"))
    return accounts


def ensure(settings: Settings, address: str) -> list[str]:
    """The names of the accounts that were made, changed or dropped. Raises subprocess.SubprocessError."""
    subnet = address.rpartition(".")[0] + ".%"
    accounts = wanted(subnet, check_account=settings.check_account)
    present = dict(line.split("\t") for line in _run(ACCOUNTS).splitlines())
    stale = [account for account in accounts if present.get(account.name) != account.digest()]
    gone = sorted(present.keys() - {account.name for account in accounts})
    statements = [f"CREATE DATABASE IF NOT EXISTS {DATABASE}"]
    statements += [statement for account in stale for statement in account.statements()]
    statements += ["DROP USER IF EXISTS '{}'@'{}'".format(*name.split("@")) for name in gone]
    if stale or gone:
        _run(";\n".join(statements))
    return [account.name for account in stale] + gone


def _run(sql: str) -> str:
    command = ["mariadb", "--batch", "--skip-column-names"]
    done = subprocess.run(command, input=sql, text=True, check=True, capture_output=True, timeout=TIMEOUT_S)  # noqa: S603 - fixed
    return done.stdout
