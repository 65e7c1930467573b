"""Where mail is given to, and the settings that say so."""

from pathlib import Path
from typing import Any

import pytest

from portal.mail_server import MailServer, is_address
from portal.mailer import ATTEMPTS_MAX, LEASE_S, PAUSE_MAX_S, SENDING_S, pause_s
from portal.settings import DatabaseSettings, PortalSettings
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import load


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", MailServer("mail", 25, "plain")),
        ("smtp://10.0.0.1:2525", MailServer("10.0.0.1", 2525, "plain")),
        ("smtp+starttls://ann:a%40b@mail", MailServer("mail", 587, "starttls", "ann", "a@b")),
        ("smtps://ann:secret@mail:4465", MailServer("mail", 4465, "tls", "ann", "secret")),
        ("smtp://ann:secret@127.0.0.1", MailServer("127.0.0.1", 25, "plain", "ann", "secret")),
        ("smtp://ann:secret@localhost", MailServer("localhost", 25, "plain", "ann", "secret")),
    ],
)
def test_a_mail_server_is_written_as_a_url(url: str, server: MailServer) -> None:
    assert MailServer.parse(url) == server
    assert "secret" not in repr(server)


@pytest.mark.parametrize("url", ["", "mail", "http://mail", "smtp://", "smtp://mail:x", "smtp://ann:secret@mail"])
def test_what_names_no_server_or_shows_a_password_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is for people
        MailServer.parse(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["ann@example.org", "a.b+c@x", "o'neil@mail.example.org", "a" * 64 + "@x.org"])
def test_addresses(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@x",
        "ann@",
        "ann@x@y",
        "ann @x",
        "ann@x.org\n",
        "ann@x.org\r\nBcc: bob@x.org",
        "Ann <ann@x.org>",
        ".ann@x.org",
        "ann.@x.org",
        "a..n@x.org",
        "ann@x..org",
        "ünn@x.org",
        '"a b"@x.org',
        "a" * 65 + "@x.org",
        "a@" + "x" * 300,
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert not is_address(text)


NEEDED = {
    "PORTAL_DATABASE_DSN": "postgresql://a:b@c/d",
    "PORTAL_HTTP_PORT": "1",
    "PORTAL_AMQP_URL": "amqp://a:b@localhost",
    "PORTAL_RESERVATION_FEED": "localhost:1",
    "PORTAL_ADMIN_KEY": "k",
}
MAIL = {
    "PORTAL_SMTP_URL": "smtp://mail",
    "PORTAL_MAIL_FROM": "tickets@example.org",
    "PORTAL_PUBLIC_URL": "https://tickets.example.org/",
}


def test_without_a_mail_server_there_is_no_mail() -> None:
    assert load(PortalSettings, "PORTAL", NEEDED).mail_server() is None
    assert load(PortalSettings, "PORTAL", NEEDED | MAIL).mail_server() == MailServer("mail", 25, "plain")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PORTAL_SMTP_URL": "ftp://mail"}, "PORTAL_SMTP_URL"),
        ({"PORTAL_MAIL_FROM": ""}, "PORTAL_MAIL_FROM"),
        ({"PORTAL_MAIL_FROM": "Tickets <a@b>"}, "PORTAL_MAIL_FROM"),
        ({"PORTAL_PUBLIC_URL": ""}, "PORTAL_PUBLIC_URL"),
        ({"PORTAL_PUBLIC_URL": "tickets.example.org"}, "PORTAL_PUBLIC_URL"),
    ],
)
def test_half_of_the_mail_settings_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(PortalSettings, "PORTAL", NEEDED | MAIL | changes)


def test_a_ca_that_cannot_be_read_is_said_at_the_start(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.crt"
    nonsense.write_text("nonsense")
    for ca in (nonsense, tmp_path / "none"):
        with pytest.raises(ValueError, match=str(ca)):
            MailServer.parse("smtps://mail", ca).tls()
    assert MailServer.parse("smtp://mail", nonsense).tls() is None


def test_commands_know_of_mail_too() -> None:
    assert load(DatabaseSettings, "PORTAL", NEEDED | MAIL).smtp_url == "smtp://mail"
    with pytest.raises(SettingsError, match="PORTAL_SMTP_URL"):
        load(DatabaseSettings, "PORTAL", NEEDED | {"PORTAL_SMTP_URL": "x"})


def test_attempts_go_on_for_about_a_day_and_then_end() -> None:
    pauses = [pause_s(attempt) for attempt in range(1, ATTEMPTS_MAX)]

    assert pauses[:4] == [10, 20, 40, 80]
    assert max(pauses) == PAUSE_MAX_S
    assert 12 * 3600 < sum(pauses) < 36 * 3600


def test_a_lease_outlasts_the_sending_of_its_batch() -> None:
    assert LEASE_S > SENDING_S + 20
