"""What mariadb/ticketflow.cnf must say, whatever else is changed in it."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[3]


def settings() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(allow_no_value=True, inline_comment_prefixes="#", interpolation=None)
    parser.read(ROOT / "mariadb" / "ticketflow.cnf")
    return parser["mariadbd"]


def test_billing_may_make_its_triggers() -> None:
    """A node of Galera refuses CREATE TRIGGER (1419) to an account without SUPER, although it writes no binary log."""
    schema = (ROOT / "billing" / "schema" / "0002_ledger.sql").read_text()
    assert "CREATE TRIGGER" in schema
    assert settings()["log-bin-trust-function-creators"] == "ON"
