"""Certificates and CAs that change under a receiver and a sender that go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import REGISTRY

from stack import development_ca
from tests.integration.feed.peers import Recorder, at, hello, serving
from tests.support.private_ca import PrivateCa, put
from tests.support.waiting import wait_until
from ticketflow.feed import FeedServer, Identity, SenderSession, Tls, TlsFailed, connect

BILLING, RESERVATION = "spiffe://ticketflow/billing", "spiffe://ticketflow/reservation"


class Pair:
    """A receiver that serves all the time, and the sender's identity; certificates are told apart by their end."""

    def __init__(self, server: FeedServer, receiver: Identity, sender: Identity) -> None:
        self.server = server
        self.receiver = receiver
        self.sender = sender
        self._streams = 0

    async def dial(self) -> SenderSession:
        """A session of a stream of its own: one of the same stream would supersede the one before."""
        self._streams += 1
        tls = Tls(self.sender, frozenset({BILLING}))
        return await connect(at(self.server), hello(f"s{self._streams}"), ssl=tls)

    async def passes(self) -> bool:
        session = await self.dial()
        await session.close()
        return True

    async def refused(self) -> str | None:
        """Why a new session does not come about; None when it does."""
        try:
            await self.passes()
        except TlsFailed as error:
            return error.fault
        return None


Files = tuple[Path, Path, Path]


@asynccontextmanager
async def paired(receiver: Files, sender: Files) -> AsyncIterator[Pair]:
    ours, theirs = Identity(*receiver), Identity(*sender)
    async with serving(Recorder(None), ssl=Tls(ours, frozenset({RESERVATION}))) as server:
        yield Pair(server, ours, theirs)


async def sends(session: SenderSession, seq: int) -> None:
    """One more event goes through."""
    await session.send(seq, [b"x"])
    while (session.acked or 0) < seq:
        assert await session.wait_ack(10), "no ack"


def receivers_end(session: SenderSession) -> str:
    """Of the certificate that the receiver showed in this session."""
    transport = session._link.transport
    assert transport is not None
    return str(transport.get_extra_info("peercert")["notAfter"])


async def test_new_sessions_use_the_new_certificate_and_the_old_one_goes_on(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    earlier = timedelta(days=-100)
    async with paired(ca.issue("billing", shifted=earlier), ca.issue("reservation", shifted=earlier)) as pair:
        old = await pair.dial()
        await sends(old, 1)
        ca.issue("billing")
        ca.issue("reservation")

        async def is_new() -> bool:
            session = await pair.dial()
            shown = receivers_end(session)
            await session.close()
            return shown != receivers_end(old) and pair.sender.ends_at > datetime.now(UTC) + timedelta(days=390)

        await wait_until(is_new)
        await sends(old, 2)
        assert not old.closed.is_set()
        await old.close()


async def test_a_half_replaced_pair_is_waited_for_while_sessions_open_with_the_old_one(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    cert, key, trusted = ca.issue("billing")
    old_key = key.read_text()
    async with paired((cert, key, trusted), ca.issue("reservation")) as pair:
        before = pair.receiver.ends_at
        ca.issue("billing", shifted=timedelta(days=-1))
        new_key = key.read_text()
        put(key, old_key)
        assert await pair.passes()
        assert pair.receiver.ends_at == before
        put(key, new_key)
        await wait_until(pair.receiver.refresh)
        assert await pair.passes()
        assert pair.receiver.ends_at < before


async def test_what_the_stack_renews_is_taken(tmp_path: Path) -> None:
    """`make run` near the end of the development CA's certificates: the same keys, certificates of today."""
    into = tmp_path / "tls"
    development_ca.make(into, datetime.now(UTC) - timedelta(days=380))

    def files(role: str) -> Files:
        return into / role / "feed.crt", into / role / "feed.key", into / role / "ca.crt"

    async with paired(files("billing"), files("reservation")) as pair:
        old = await pair.dial()
        await sends(old, 1)
        keys = [files(role)[1].read_text() for role in ("billing", "reservation")]
        development_ca.make(into)
        assert [files(role)[1].read_text() for role in ("billing", "reservation")] == keys
        await wait_until(lambda: pair.receiver.refresh())
        await wait_until(lambda: pair.sender.refresh() or pair.sender.ends_at > datetime.now(UTC) + timedelta(days=390))
        new = await pair.dial()
        assert receivers_end(new) != receivers_end(old)
        await sends(old, 2)
        await new.close()
        await old.close()


async def test_another_ca_takes_over_and_no_session_is_refused_on_the_way(tmp_path: Path) -> None:
    ours, next_one = PrivateCa(tmp_path), PrivateCa(tmp_path, "next")
    receiver, sender = ours.issue("billing"), ours.issue("reservation")

    def trust(files: Files, *cas: PrivateCa) -> None:
        put(files[2], "".join(ca.pem for ca in cas))

    def move(files: Files, role: str) -> None:
        for source, target in zip(next_one.issue(role)[:2], files[:2], strict=True):
            put(target, source.read_text())

    async with paired(receiver, sender) as pair:
        old = await pair.dial()
        for files, identity in ((receiver, pair.receiver), (sender, pair.sender)):
            trust(files, ours, next_one)
            await wait_until(identity.refresh)
            assert await pair.refused() is None
        move(receiver, "billing")
        await wait_until(pair.receiver.refresh)
        assert await pair.refused() is None
        move(sender, "reservation")
        await wait_until(pair.sender.refresh)
        assert await pair.refused() is None
        for files, identity in ((receiver, pair.receiver), (sender, pair.sender)):
            trust(files, next_one)
            await wait_until(identity.refresh)
            assert await pair.refused() is None
        await sends(old, 1)
        await old.close()

        stranded = Identity(*ours.issue("late", trusts=[next_one]))
        pair.sender = stranded
        assert await pair.refused() == "unknown_ca"


async def test_the_wrong_order_is_noticed_and_does_no_harm(tmp_path: Path) -> None:
    """A certificate of the next CA before that CA is trusted: it is not taken, and the old one works."""
    ours, next_one = PrivateCa(tmp_path), PrivateCa(tmp_path, "next")
    cert, key, trusted = ours.issue("reservation")
    async with paired(ours.issue("billing"), (cert, key, trusted)) as pair:
        for source, target in zip(next_one.issue("reservation")[:2], (cert, key), strict=True):
            put(target, source.read_text())
        before = pair.sender.ends_at

        def is_noticed() -> bool:
            pair.sender.refresh()
            return REGISTRY.get_sample_value("feed_tls_files_bad") == 1

        await wait_until(is_noticed)
        assert await pair.refused() is None
        assert pair.sender.ends_at == before
