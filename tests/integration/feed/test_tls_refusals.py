"""Who is refused, and that both logs say why."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.integration.feed.peers import Recorder, at, hello, listening, serving, stranger
from tests.support.private_ca import FAR_AHEAD, LONG_AGO, PrivateCa
from tests.support.waiting import wait_until
from ticketflow.feed import (
    ConnectFailed,
    Identity,
    Refused,
    SenderSession,
    Tls,
    TlsFailed,
    client_context,
    connect,
)

BILLING, RESERVATION, BRIDGE = (f"spiffe://ticketflow/{role}" for role in ("billing", "reservation", "bridge"))

Lines = list[Any]


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs() as captured:
        yield captured


def receiving(ca: PrivateCa, role: str = "billing", *, shifted: timedelta = timedelta()) -> Tls:
    return Tls(Identity(*ca.issue(role, shifted=shifted)), frozenset({RESERVATION}))


def sending(ca: PrivateCa, role: str = "reservation") -> Tls:
    return Tls(Identity(*ca.issue(role)), frozenset({BILLING}))


def refused(lines: Lines) -> list[Any]:
    return [line for line in lines if line["event"] == "feed_tls_refused"]


async def the_refusal(lines: Lines) -> Any:
    """The receiver's line, which comes a moment after the sender knows."""
    await wait_until(lambda: refused(lines))
    [line] = refused(lines)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", line["peer"])
    assert line["log_level"] == "warning"
    return line


def counted(role: str, reason: str, by: str) -> float:
    return REGISTRY.get_sample_value("feed_tls_faults_total", {"role": role, "reason": reason, "by": by}) or 0


def expired(ca: PrivateCa) -> ssl.SSLContext:
    return client_context(*ca.issue("reservation", shifted=LONG_AGO))


def not_yet_valid(ca: PrivateCa) -> ssl.SSLContext:
    return client_context(*ca.issue("reservation", shifted=FAR_AHEAD))


def of_another_ca(ca: PrivateCa) -> ssl.SSLContext:
    return client_context(*PrivateCa(ca.folder, "theirs").issue("reservation", trusts=[ca]))


def with_none(ca: PrivateCa) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca.issue("reservation")[2]))


def of_old_tls(ca: PrivateCa) -> ssl.SSLContext:
    context = client_context(*ca.issue("reservation"))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize(
    ("sender", "reason", "told"),
    [
        (expired, "expired", "it says that our certificate has expired"),
        (not_yet_valid, "not_yet_valid", "it refuses our certificate (not yet valid, or a wrong name): see its log"),
        (of_another_ca, "unknown_ca", "it says that our certificate is not of its CA"),
        (with_none, "no_certificate", "it wants a certificate, and we showed none"),
        (of_old_tls, "old_tls", "it speaks no TLS version that we do"),
    ],
)
async def test_a_sender_is_refused_and_both_say_why(
    ca: PrivateCa, lines: Lines, sender: Callable[[PrivateCa], ssl.SSLContext], reason: str, told: str
) -> None:
    receiver, before = Recorder(), counted("receiver", reason, "us")
    context = sender(ca)
    async with serving(receiver, ssl=receiving(ca)) as server:
        with pytest.raises(TlsFailed) as failed:
            await connect(at(server), hello(), ssl=context)
        line = await the_refusal(lines)
        assert (line["reason"], line["by_peer"]) == (reason, False)
        await wait_until(lambda: not server.connections)
    assert told in str(failed.value)
    assert f"127.0.0.1:{server.port}: TLS failed with the receiver: " in str(failed.value)
    assert receiver.peers == []
    assert counted("receiver", reason, "us") == before + 1


async def test_a_sender_that_is_not_on_the_list_is_refused_with_the_names_that_it_showed(
    ca: PrivateCa, lines: Lines
) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=receiving(ca)) as server:
        await (await connect(at(server), hello(), ssl=sending(ca))).close()
        with pytest.raises(Refused) as raised:
            await connect(at(server), hello(), ssl=sending(ca, "portal"))
        line = await the_refusal(lines)
    assert (raised.value.code, raised.value.kind) == ("not_allowed", "Refused:not_allowed")
    assert "it has localhost, spiffe://ticketflow/portal" in raised.value.reason
    assert line["reason"] == "not_allowed"
    assert line["names"] == ["localhost", "spiffe://ticketflow/portal"]
    assert line["allowed"] == [RESERVATION]
    assert len(receiver.peers) == 1


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100])
async def test_plain_text_is_refused(ca: PrivateCa, lines: Lines, said: bytes) -> None:
    async with serving(Recorder(), ssl=receiving(ca)) as server, stranger(server.port) as peer:
        peer.write(said)
        with pytest.raises(ConnectionError):
            await peer.hear()
        assert (await the_refusal(lines))["reason"] == "plain_text"


async def test_a_sender_without_tls_is_refused(ca: PrivateCa, lines: Lines) -> None:
    async with serving(Recorder(), ssl=receiving(ca)) as server:
        with pytest.raises(ConnectFailed):
            await connect(at(server), hello())
        assert (await the_refusal(lines))["reason"] == "plain_text"


async def test_one_that_leaves_in_the_handshake_is_told_of_too(ca: PrivateCa, lines: Lines) -> None:
    async with serving(Recorder(), ssl=receiving(ca)) as server:
        async with stranger(server.port):
            await wait_until(lambda: server.connections)
        assert (await the_refusal(lines))["reason"] == "cut"


@pytest.mark.parametrize(
    ("shifted", "fault", "said"),
    [
        (LONG_AGO, "expired", "its certificate has expired"),
        (FAR_AHEAD, "not_yet_valid", "its certificate is not yet valid"),
    ],
)
async def test_a_receiver_of_another_day_is_not_fed(
    ca: PrivateCa, lines: Lines, shifted: timedelta, fault: str, said: str
) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=receiving(ca, shifted=shifted)) as server:
        with pytest.raises(TlsFailed, match=said) as failed:
            await connect(at(server), hello(), ssl=sending(ca))
        assert (failed.value.fault, failed.value.kind) == (fault, f"TlsFailed:{fault}")
        await the_refusal(lines)
    assert receiver.peers == []


async def test_a_receiver_of_another_ca_is_not_fed(ca: PrivateCa) -> None:
    receiver, theirs = Recorder(), PrivateCa(ca.folder, "theirs")
    async with serving(receiver, ssl=receiving(theirs)) as server:
        with pytest.raises(TlsFailed, match="its certificate is not of our CA"):
            await connect(at(server), hello(), ssl=sending(ca))
    assert receiver.peers == []


async def test_a_receiver_of_another_role_is_not_fed_though_its_host_is_right(ca: PrivateCa) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=receiving(ca, "bridge")) as server:
        with pytest.raises(TlsFailed) as failed:
            await connect(at(server), hello(), ssl=sending(ca))
        await wait_until(lambda: not server.connections)
    assert failed.value.fault == "not_allowed"
    assert f"its certificate names localhost, {BRIDGE}" in str(failed.value)
    assert receiver.peers == [], "it never saw a HELLO"


async def test_a_receiver_without_tls_is_not_fed(ca: PrivateCa) -> None:
    async with serving(Recorder()) as server:
        with pytest.raises(TlsFailed, match="it speaks no TLS"):
            await connect(at(server), hello(), ssl=sending(ca))


async def test_of_two_receivers_the_one_that_is_trusted_is_fed(ca: PrivateCa) -> None:
    async with (
        serving(Recorder(), ssl=receiving(ca, "bridge")) as wrong,
        serving(Recorder(), ssl=receiving(ca)) as right,
    ):
        session = await connect([*at(wrong), *at(right)], hello(), ssl=sending(ca))
        assert session.address == at(right)[0]
        await session.close()


async def test_distrust_is_told_rather_than_that_another_address_is_away(ca: PrivateCa) -> None:
    async with listening(hang_up) as away, serving(Recorder(), ssl=receiving(ca, "bridge")) as wrong:
        with pytest.raises(TlsFailed, match="localhost"):
            await connect([*at(wrong), *away], hello(), ssl=sending(ca))


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_a_refused_sender_that_does_not_read_is_not_waited_for(ca: PrivateCa, lines: Lines) -> None:
    async with serving(Recorder(), ssl=receiving(ca)) as server, stranger(server.port) as peer:
        peer.write(b"\xff" * 100)
        await the_refusal(lines)
        await wait_until(lambda: not server.connections)


async def test_nothing_of_a_key_is_logged(ca: PrivateCa, lines: Lines, capfd: pytest.CaptureFixture[str]) -> None:
    async def dial(tls: Tls | ssl.SSLContext) -> SenderSession:
        return await connect(at(server), hello(), ssl=tls)

    async with serving(Recorder(), ssl=receiving(ca)) as server:
        for tls in (expired(ca), of_another_ca(ca), with_none(ca), sending(ca, "portal")):
            with pytest.raises((TlsFailed, Refused)):
                await dial(tls)
        await wait_until(lambda: len(refused(lines)) == 4)
    said = str(lines) + "".join(capfd.readouterr())
    keys = [path.read_text().splitlines()[1:-1] for path in ca.folder.rglob("*.key")]
    assert len(keys) >= 4
    assert [line for key in keys for line in key if line in said] == []
