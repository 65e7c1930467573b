"""The mail server that keeps what it is given: SMTP in, HTTP to look."""

import asyncio
import os
import smtplib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.sandbox.mail_process import MailProcess

MAIL = b"Subject: =?utf-8?q?F=C3=AAte?=\r\nMessage-ID: <a@b>\r\n\r\nhello\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailProcess]:
    process = MailProcess(tmp_path)
    process.start()
    await process.ready()
    yield process
    process.kill()


def give(server: MailProcess, content: bytes = MAIL, to: str = "ann@example.org") -> None:
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=20) as client:
        client.sendmail("tickets@example.org", [to], content)


async def test_a_mail_is_kept_and_shown(server: MailProcess) -> None:
    give(server)
    give(server, to="bob@example.org")

    first, second = await server.mails()
    assert (first["number"], second["number"]) == (1, 2)
    assert (first["sender"], first["recipients"]) == ("tickets@example.org", ["ann@example.org"])
    assert first["headers"] == {"subject": "Fête", "message-id": "<a@b>"}
    assert first["text"].strip() == "hello"
    assert [mail["number"] for mail in await server.mails("bob@example.org")] == [2]
    await server.empty()
    assert await server.mails() == []
    assert server.terminate() == 0


async def test_faults_strike_the_next_mails(server: MailProcess) -> None:
    await server.fault("later")
    with pytest.raises(smtplib.SMTPDataError) as later:
        give(server)
    assert later.value.smtp_code == 451
    await server.fault("never")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        give(server)
    await server.fault("drop")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        give(server)
    assert await server.mails() == []
    await server.fault("drop_after")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        give(server)
    assert len(await server.mails()) == 1, "taken, and not answered"
    await server.fault("later", 3)
    await server.calm()
    give(server)
    assert len(await server.mails()) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"Content-Type: text/plain; charset=nonsense\r\n\r\nx", MAIL * 50]
)
async def test_whatever_comes_is_shown(server: MailProcess, content: bytes) -> None:
    give(server, content)

    assert len(await server.mails()) == 1


async def test_a_question_that_makes_no_sense_is_refused(server: MailProcess) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/mails", params={"limit": "0"}) as response:
            assert (response.status, (await response.json())["code"]) == (422, "bad_query")
        async with http.post(f"{server.url}/faults", json={"kind": "fire"}) as response:
            assert (response.status, (await response.json())["code"]) == (422, "bad_body")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "SANDBOX_SMTP_PORT is not set"),
        (
            {"SANDBOX_SMTP_PORT": "1", "SANDBOX_HTTP_PORT": "1", "SANDBOX_SMTP_TLS_CERT": "/none"},
            "SANDBOX_SMTP_TLS_CERT",
        ),
    ],
)
async def test_settings_that_make_no_sense_are_said(settings: dict[str, str], named: str) -> None:
    environment = {"PATH": os.environ["PATH"], **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "mail", env=environment, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, stderr = await process.communicate()
    assert (process.returncode, named in stderr.decode(), "Traceback" in stderr.decode()) == (2, True, False)
