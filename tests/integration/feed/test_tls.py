"""TLS 1.3 with certificates on both sides."""

import socket
import ssl
from pathlib import Path

import pytest

from tests.integration.feed.peers import Recorder, at, hello, serving, stranger
from tests.support.authority import Authority
from tests.support.waiting import wait_until
from ticketflow.feed import (
    Address,
    BadTls,
    ConnectFailed,
    Refused,
    SenderSession,
    client_context,
    connect,
    server_context,
)


async def test_events_pass_between_certified_peers(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        client = client_context(*authority("ours", "reservation"))
        session = await connect(at(server), hello(), ssl=client)
        await session.send(1, [b"x" * 200_000] * 20)
        while session.acked != 20:
            assert await session.wait_ack(5)
        await session.close()
        assert receiver.peers[0].names == ("reservation", "localhost")


async def test_a_receiver_drains_over_tls(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        session = await connect(at(server), hello(), ssl=client_context(*authority("ours", "reservation")))
        receiver.open.clear()
        await session.send(1, [b"x"])
        await wait_until(lambda: receiver.waiting)
        receiver.open.set()
        await server.drain(3)
        assert await session.wait_ack(5) == 1
        await wait_until(session.closed.is_set)


async def test_a_sender_of_another_ca_is_not_let_in(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        cert, key, _ = authority("theirs", "reservation")
        _, _, our_ca = authority("ours", "billing")
        with pytest.raises(ConnectFailed):
            await connect(at(server), hello(), ssl=client_context(cert, key, our_ca))
    assert receiver.peers == []


async def test_a_receiver_of_another_ca_is_not_fed(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("theirs", "billing"))) as server:
        with pytest.raises(ConnectFailed, match="certificate"):
            await connect(at(server), hello(), ssl=client_context(*authority("ours", "reservation")))


async def test_a_receiver_must_have_the_name_that_was_dialled(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        elsewhere = [Address("127.0.0.2", server.port)]
        client = client_context(*authority("ours", "reservation"))
        with pytest.raises(ConnectFailed):
            await connect(elsewhere, hello(), ssl=client)


async def test_a_sender_without_a_certificate_is_not_let_in(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        bare = ssl.create_default_context(cafile=str(authority("ours", "billing")[2]))
        with pytest.raises(ConnectFailed):
            await connect(at(server), hello(), ssl=bare)
    assert receiver.peers == []


async def test_a_sender_that_is_not_on_the_list_is_refused(authority: Authority) -> None:
    receiver = Recorder()
    ours = server_context(*authority("ours", "billing"))
    async with serving(receiver, ssl=ours, allowed_names=["reservation"]) as server:

        async def dial(name: str) -> SenderSession:
            return await connect(at(server), hello(), ssl=client_context(*authority("ours", name)))

        await (await dial("reservation")).close()
        with pytest.raises(Refused) as refused:
            await dial("portal")
        assert refused.value.code == "not_allowed"


async def test_older_tls_is_not_spoken(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        old = client_context(*authority("ours", "reservation"))
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ConnectFailed):
            await connect(at(server), hello(), ssl=old)


async def test_plain_bytes_at_a_tls_listener_are_cut_off(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        with pytest.raises(ConnectFailed):
            await connect(at(server), hello())
        async with stranger(server.port) as peer:
            peer.write(b"\xff" * 100)
            with pytest.raises(ConnectionError):
                await peer.hear()
        await wait_until(lambda: not server.connections)


async def test_those_who_never_shake_hands_are_counted_and_do_not_hold_a_drain_up(authority: Authority) -> None:
    receiver = Recorder()
    async with serving(receiver, ssl=server_context(*authority("ours", "billing"))) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        await wait_until(lambda: server.connections == 3)
        await server.drain(1)
        assert server.connections == 0
        for each in idle:
            each.close()


def test_files_that_do_not_fit_are_named(authority: Authority, tmp_path: Path) -> None:
    cert, key, ca = authority("ours", "billing")
    with pytest.raises(BadTls, match=r"missing\.pem: No such file"):
        server_context(tmp_path / "missing.pem", key, ca)
    with pytest.raises(BadTls, match="with key"):
        client_context(cert, authority("ours", "portal")[1], ca)
    with pytest.raises(BadTls, match="CA"):
        client_context(cert, key, key)
