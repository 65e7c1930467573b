"""The accounts and databases of the services, made in servers that run. Safe to repeat."""

import psycopg
from psycopg import sql

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer


def ensure_postgres(server: PostgresServer, name: str, password: str) -> None:
    """A role that may log in and nothing else, and a database of the same name that it owns."""
    role, secret = sql.Identifier(name), sql.Literal(password)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        admin.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, secret))
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            # By default every role may connect to every database.
            admin.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))


def ensure_mariadb(server: MariaDBServer, name: str, password: str) -> None:
    """A database, and a user of the same name that may do everything in it and nothing elsewhere.

    ``name`` is ours and ``password`` hexadecimal: neither can end its quotes.
    """
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}`")
        cursor.execute(f"CREATE USER IF NOT EXISTS '{name}'@'127.0.0.1'")
        cursor.execute(f"ALTER USER '{name}'@'127.0.0.1' IDENTIFIED BY '{password}'")
        cursor.execute(f"GRANT ALL ON `{name}`.* TO '{name}'@'127.0.0.1'")
