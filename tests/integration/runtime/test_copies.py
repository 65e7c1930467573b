"""The copies of migrated databases, which most tests get, are what the migrations make."""

from billing import service as billing
from billing.settings import DatabaseSettings
from portal import service as portal
from stack.servers.mariadb import MariaDBServer
from tests.support.databases import Database, create_mariadb, drop_mariadb
from tests.support.running import RunningServer
from tests.support.servers import MigratedDatabase
from ticketflow.feed import Address
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.settings import Secret


def portal_schema(database: Database) -> int:
    return migrate(database.dsn, portal.FOLDERS, "portal")


def billing_schema(database: Database) -> int:
    return billing.run_migrations(
        DatabaseSettings(
            database_hosts=(Address.parse(database.address),),
            database_name=database.name,
            database_user=database.user,
            database_password=Secret(database.password),
        )
    )


def described(server: MariaDBServer, database: Database) -> dict[str, object]:
    """Each table and trigger: how it is made; and what is in the tables, but for when the migrations ran and where."""
    found: dict[str, object] = {}
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"USE `{database.name}`")
        cursor.execute("SHOW TABLES")
        for (name,) in list(cursor.fetchall()):
            cursor.execute(f"SHOW CREATE TABLE `{name}`")
            found[f"table {name}"] = cursor.fetchall()[0][1]
            if "yoyo" not in name:
                cursor.execute(f"SELECT * FROM `{name}`")
                found[f"rows of {name}"] = sorted(cursor.fetchall())
        cursor.execute("SHOW TRIGGERS")
        for name, *facts in list(cursor.fetchall()):
            definer = facts[6]
            assert definer == f"{database.user}@127.0.0.1"
            found[f"trigger {name}"] = [*facts[:4], facts[5], *facts[7:]]
    return found


def test_in_mariadb(mariadb_server: RunningServer[MariaDBServer], migrated_mariadb: MigratedDatabase) -> None:
    migrated = create_mariadb(mariadb_server.server)
    try:
        assert billing_schema(migrated) > 0
        expected = described(mariadb_server.server, migrated)
        with migrated_mariadb("billing for a copy", billing_schema) as copy:
            assert described(mariadb_server.server, copy) == expected
            assert billing_schema(copy) == 0  # and there is nothing left to do
    finally:
        drop_mariadb(mariadb_server.server, migrated)


def test_in_postgres(migrated_postgres: MigratedDatabase) -> None:
    for _ in range(2):
        with migrated_postgres("portal for a copy", portal_schema) as copy:
            assert portal_schema(copy) == 0
