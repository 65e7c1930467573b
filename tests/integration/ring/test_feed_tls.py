"""The embedded stack's feeds and its RabbitMQ: mutual TLS, each listener for its own sender; renewed while all run."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stack import development_ca
from stack.credentials import authority
from tests.support.buyer import Buyer, Shop
from tests.support.ring import Ring
from tests.support.waiting import wait_until
from ticketflow.feed import VERSION, Address, ConnectFailed, Hello, Refused, client_context, connect

HELLO = Hello(VERSION, "nobodys-stream", 1, 1, 0, "a-test")
LISTENERS = {
    "reservation-1": "portal",
    "reservation-2": "portal",
    "billing-listener": "reservation",
    "bridge": "billing",
}
ROLES = dict(zip(LISTENERS, ("reservation", "reservation", "billing", "bridge"), strict=True))


def port_of(ring: Ring, program: str) -> int:
    return dict(zip(LISTENERS, ring.feed_ports, strict=True))[program]


def files(ring: Ring, role: str) -> tuple[Path, Path, Path]:
    folder = ring.stack.places.tls / role
    return folder / "feed.crt", folder / "feed.key", folder / "ca.crt"


def has_taken(ring: Ring, program: str, role: str) -> bool:
    """Whether a program uses the certificate that is in its folder now."""
    lines = [line for line in ring.logs(program).splitlines() if "tls_certificate_taken" in line]
    return f'"ends_at":"{authority.ends_at(files(ring, role)[0].read_text()).isoformat()}"' in lines[-1]


def has_refused(ring: Ring, program: str, reason: str) -> bool:
    return f'"reason":"{reason}"' in ring.logs(program)


async def answer(ring: Ring, program: str, role: str | None) -> str:
    """The code with which a listener refuses a stream that nobody sends, to a sender of ``role``."""
    tls = None if role is None else client_context(*files(ring, role))
    with pytest.raises((Refused, ConnectFailed)) as raised:
        await connect([Address("127.0.0.1", port_of(ring, program))], HELLO, ssl=tls)
    return raised.value.code if isinstance(raised.value, Refused) else "cut"


@pytest.mark.parametrize("program", LISTENERS)
async def test_a_listener_lets_its_own_sender_in_and_nobody_else(ring: Ring, program: str) -> None:
    await ring.ready()
    answers = {role: await answer(ring, program, role) for role in development_ca.SERVICES}
    assert answers == {
        role: "stream_unknown" if role == LISTENERS[program] else "not_allowed" for role in development_ca.SERVICES
    }
    assert await answer(ring, program, None) == "cut"
    for reason in ("not_allowed", "plain_text"):
        await wait_until(partial(has_refused, ring, program, reason))


def sessions(ring: Ring) -> set[tuple[str, ...]]:
    """RabbitMQ's clients: whose certificate, by which TLS."""
    columns = ("peer_cert_subject", "ssl_protocol")
    said = ring.stack.rabbitmq.control("list_connections", "--no-table-headers", *columns)
    return {tuple(line.split("\t")) for line in said.splitlines()}


def shown_by_rabbitmq(ring: Ring) -> str:
    with ring.stack.rabbitmq._connection() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        connection.recv(8)
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"").strip()


async def test_bridge_and_portal_reach_rabbitmq_by_mutual_tls_only(ring: Ring) -> None:
    await ring.ready()
    assert await asyncio.to_thread(sessions, ring) == {
        (f"CN={role},O=TicketFlow", "tlsv1.3") for role in ("bridge", "portal")
    }


async def test_certificates_are_renewed_by_the_next_up_and_nothing_restarts(ring: Ring, shop: Shop) -> None:
    await ring.ready()
    pids = {name: state.pid for name, state in ring.stack.supervisor.states().items()}
    tls = ring.stack.places.tls
    for role in development_ca.SERVICES:
        files(ring, role)[0].unlink()
    of_node = development_ca.rabbitmq_tls(tls).cert
    of_node.unlink()
    development_ca.make(tls, datetime.now(UTC) - timedelta(days=380))  # as if they had been made then
    near = {role: files(ring, role)[0].read_text() for role in development_ca.SERVICES}
    node_was_near = of_node.read_text()
    await asyncio.to_thread(ring.up)
    assert all(files(ring, role)[0].read_text() != near[role] for role in development_ca.SERVICES)

    for program, role in {**ROLES, "portal": "portal"}.items():
        await wait_until(partial(has_taken, ring, program, role))
    assert of_node.read_text() != node_was_near
    await wait_until(lambda: shown_by_rabbitmq(ring) == of_node.read_text().strip())
    await asyncio.to_thread(ring.stack.rabbitmq.control, "close_all_connections", "so that all shake hands anew")
    assert {name: state.pid for name, state in ring.stack.supervisor.states().items()} == pids
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    await purchase.pay()
