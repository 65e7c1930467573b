"""Buyers are told by mail: decided with the fold, sent by a worker, once for each thing told."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from portal.mail_rules import NEWS_US
from portal.mailer import ATTEMPTS_MAX
from portal.mailing import Mailing
from portal.understanding import Fact, understand
from tests.integration.portal.mailing import PUBLIC_URL, SENDER, MailingPortal, delivered
from tests.integration.sandbox.mail_process import MailProcess
from tests.support.databases import Database
from tests.support.private_ca import PrivateCa
from tests.support.waiting import wait_until
from tests.unit.portal.events import NOON_US, SaleEvents
from ticketflow.events import new_id
from ticketflow.runtime.postgres import PostgresPool

ANN = "ann@example.org"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailProcess]:
    process = MailProcess(tmp_path)
    process.start()
    await process.ready()
    yield process
    process.kill()


@pytest.fixture
async def portal(migrated: Database, server: MailProcess) -> AsyncIterator[MailingPortal]:
    pool = PostgresPool(migrated.dsn, name="test", size_max=6)
    await pool.open()
    yield MailingPortal(pool, server.smtp_url)
    await pool.close()


async def test_a_confirmed_sale_is_told_once(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    events = sale.sold()
    await portal.address("ann", ANN)
    for event in events:
        await portal.apply(event)
    await portal.send()
    await portal.apply(*events)
    await portal.send()

    assert await portal.mails(sale.order_id) == [("confirmed", "SENT", 1)]
    [mail] = await server.mails()
    assert (mail["sender"], mail["recipients"]) == (SENDER, [ANN])
    assert mail["headers"]["subject"] == "Your tickets: Aida"
    assert f"{PUBLIC_URL}/sales/{sale.order_id}" in mail["text"]
    assert "A-1 (stalls)" in mail["text"]


async def test_other_places_and_lost_ones_are_told(portal: MailingPortal, server: MailProcess) -> None:
    moved, lost, unpaid = SaleEvents(), SaleEvents(), SaleEvents()
    await portal.address("ann", ANN)
    await portal.apply(*moved.sold_late(moved=True))
    await portal.apply(*lost.lost_late())
    await portal.apply(unpaid.pending(), unpaid.failed())
    await portal.send()

    first, second = await server.mails()
    assert "You have:  K-1 (stalls), K-2 (stalls)" in first["text"].replace("\r\n", "\n")
    assert second["headers"]["subject"] == "No tickets, and your money is yours again: Aida"
    assert await portal.mails(unpaid.order_id) == [], "nobody's money had come"


async def test_a_refund_is_told_when_decided_and_when_done(portal: MailingPortal, server: MailProcess) -> None:
    sale, refund_id = SaleEvents(), new_id()
    await portal.address("ann", ANN)
    await portal.apply(*sale.sold())
    await portal.send()
    await portal.apply(sale.tickets_voided(refund_id, 0))
    await portal.send()
    await portal.apply(sale.refunded(refund_id))
    await portal.send()

    subjects = [mail["headers"]["subject"].partition(":")[0] for mail in await server.mails()]
    assert subjects == ["Your tickets", "Void tickets, and your money comes back", "Your money went back"]


async def test_what_a_later_mail_says_better_is_not_sent(portal: MailingPortal, server: MailProcess) -> None:
    sale, refund_id = SaleEvents(), new_id()
    await portal.address("ann", ANN)
    await portal.apply(*sale.sold())
    await portal.apply(sale.tickets_voided(refund_id))
    await portal.apply(sale.refunded(refund_id, 2500, 2500))
    await portal.send()

    assert await portal.mails(sale.order_id) == [
        ("confirmed", "OVERTAKEN", 1),
        ("voided", "OVERTAKEN", 1),
        ("refunded", "SENT", 1),
    ]
    assert len(await server.mails()) == 1


async def test_any_order_of_events_ends_with_the_same_last_word(portal: MailingPortal, server: MailProcess) -> None:
    await portal.address("ann", ANN)
    orders = list(permutations(range(6)))
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    for order in random.Random(seed).sample(orders, 12):
        sale, refund_id = SaleEvents(), new_id()
        events = [*sale.sold(), sale.tickets_voided(refund_id), sale.refunded(refund_id, 2500, 2500)]
        for place in order:
            await portal.apply(events[place])
        await portal.send()

        told = await portal.mails(sale.order_id)
        assert ("refunded", "SENT", 1) in told, order
        assert len({kind for kind, _, _ in told}) == len(told), order
        known = await portal.sale(sale.order_id)
        assert (known.state, known.good) == ("REFUNDED", []), order


async def test_a_buyer_without_an_address_is_told_when_he_has_one(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    await portal.apply(*sale.sold())
    await portal.send()
    assert await portal.mails(sale.order_id) == [("confirmed", "NO_ADDRESS", 1)]

    await portal.address("ann", ANN)
    await portal.send()
    assert await portal.mails(sale.order_id) == [("confirmed", "SENT", 1)]
    assert len(await server.mails()) == 1


async def test_an_address_that_comes_while_the_mail_is_looked_at(portal: MailingPortal, server: MailProcess) -> None:
    """Whichever comes first: the mail is sent in the end."""
    for number in range(10):
        sale = SaleEvents(f"buyer-{number}")
        await portal.apply(*sale.sold())
        await asyncio.gather(portal.send(), portal.address(f"buyer-{number}", ANN))
        await portal.send()

        [(_, state, _)] = await portal.mails(sale.order_id)
        assert state == "SENT", number
    assert len(await server.mails()) == 10


async def test_a_server_that_says_later_is_asked_again(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await server.fault("later", 2)
    await server.fault("drop")
    await portal.apply(*sale.sold())
    await portal.send()

    assert await portal.mails(sale.order_id) == [("confirmed", "SENT", 4)]
    assert len(await server.mails()) == 1


async def test_a_server_that_never_takes_it_ends_the_mail_and_no_other(
    portal: MailingPortal, server: MailProcess
) -> None:
    sales = [SaleEvents() for _ in range(3)]
    await portal.address("ann", ANN)
    await server.fault("never")
    await portal.apply(*[event for sale in sales for event in sale.sold()])
    await portal.send()

    states = sorted([(await portal.mails(sale.order_id))[0][1] for sale in sales])
    assert states == ["FAILED", "SENT", "SENT"]
    assert len(await server.mails()) == 2


async def test_attempts_have_an_end(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    await portal.address("ann", ANN)
    server.kill()
    await portal.apply(*sale.sold())
    await portal.send()

    assert await portal.mails(sale.order_id) == [("confirmed", "FAILED", ATTEMPTS_MAX)]
    async with portal.pool.acquire() as conn:
        assert "SMTPConnectError" in str(await conn.fetchval("SELECT detail FROM mails"))


async def test_an_answer_that_was_lost_sends_the_same_mail_again(portal: MailingPortal, server: MailProcess) -> None:
    """At least once: whoever receives it can tell by the id."""
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await server.fault("drop_after")
    await portal.apply(*sale.sold())
    await portal.send()

    first, second = await server.mails()
    assert first["headers"]["message-id"] == second["headers"]["message-id"]
    assert await portal.mails(sale.order_id) == [("confirmed", "SENT", 2)]


async def test_a_worker_that_dies_leaves_its_mails_to_another(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await portal.apply(*sale.sold())
    async with portal.pool.transaction() as conn:  # taken, and never sent
        await conn.execute("UPDATE mails SET attempts = 1, due_at = clock_timestamp() + interval '1 hour'")
    await portal.send()
    assert await server.mails() == []

    async with portal.pool.transaction() as conn:
        await conn.execute("UPDATE mails SET due_at = clock_timestamp()")
    await portal.send()
    assert await portal.mails(sale.order_id) == [("confirmed", "SENT", 2)]


async def test_a_worker_that_is_told_to_stop_ends_the_mail_that_it_is_sending(
    portal: MailingPortal, server: MailProcess
) -> None:
    """Or every restart would send one twice."""
    sales = [SaleEvents() for _ in range(4)]
    await portal.address("ann", ANN)
    await server.fault("slow", 4)
    await portal.apply(*[event for sale in sales for event in sale.sold()])
    working = asyncio.create_task(portal.mailer.run_once())
    await wait_until(lambda: server.mails())
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    sent = [mail for sale in sales for mail in await portal.mails(sale.order_id) if mail[1] == "SENT"]
    assert 1 <= len(sent) < 4
    assert len(await server.mails()) == len(sent)


async def test_many_workers_send_each_mail_once(portal: MailingPortal, server: MailProcess) -> None:
    sales = [SaleEvents() for _ in range(60)]
    await portal.address("ann", ANN)
    await portal.apply(*[event for sale in sales for event in sale.sold()])

    async def work() -> None:
        mailer = portal.a_mailer()
        while await mailer.run_once():
            pass

    await asyncio.gather(*(work() for _ in range(3)))

    ids = [mail["headers"]["message-id"] for mail in await server.mails()]
    assert (len(ids), len(set(ids))) == (60, 60)


async def test_old_news_is_told_to_nobody(portal: MailingPortal, server: MailProcess) -> None:
    old = MailingPortal(portal.pool, server.smtp_url, mailing=Mailing(lambda: NOON_US + NEWS_US + 600_000_000))
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await old.apply(*sale.sold())
    await old.send()

    assert await old.mails(sale.order_id) == []


async def test_a_fold_that_is_rolled_back_decides_no_mail(portal: MailingPortal) -> None:
    sale = SaleEvents()
    facts = sale.sold()
    await portal.apply(*facts[:3])
    with pytest.raises(ZeroDivisionError):
        async with portal.pool.transaction() as conn:
            meaning = understand(delivered(facts[3]))
            assert isinstance(meaning, Fact)
            await portal.applier.write(conn, {facts[3].id: meaning})
            assert await conn.fetchval("SELECT count(*) FROM mails") == 1
            raise ZeroDivisionError
    assert await portal.mails(sale.order_id) == []


async def test_a_server_that_says_nothing_costs_an_attempt_and_no_more(
    portal: MailingPortal, server: MailProcess
) -> None:
    sales = [SaleEvents() for _ in range(3)]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # its kernel takes connections, and nobody answers
        waiting = MailingPortal(portal.pool, f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        await portal.address("ann", ANN)
        await waiting.apply(*[event for sale in sales for event in sale.sold()])
        assert await waiting.a_mailer(pause_s=3600, step_timeout_s=0.2).run_once() == 3

    for sale in sales:
        assert await portal.mails(sale.order_id) == [("confirmed", "DUE", 1)]
    assert await portal.mailer.run_once() == 0, "not before an hour has passed"


async def test_tls_that_was_asked_for_is_never_done_without(portal: MailingPortal, server: MailProcess) -> None:
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await portal.apply(*sale.sold())
    for scheme in ("smtp+starttls", "smtps"):
        secret = MailingPortal(portal.pool, server.smtp_url.replace("smtp", scheme, 1))
        assert await secret.mailer.run_once() == 1
    assert await portal.mails(sale.order_id) == [("confirmed", "DUE", 2)]
    assert await server.mails() == []


async def test_mail_by_tls_goes_to_a_server_that_shows_a_certificate_we_believe(
    portal: MailingPortal, tmp_path: Path
) -> None:
    certificate, key, ca = PrivateCa(tmp_path).issue("mail")
    _, _, other_ca = PrivateCa(tmp_path, "other").issue("mail")
    files = {"SANDBOX_SMTP_TLS_CERT": str(certificate), "SANDBOX_SMTP_TLS_KEY": str(key)}
    server = MailProcess(tmp_path, files)
    server.start()
    await server.ready()
    url = f"smtp+starttls://localhost:{server.smtp_port}"
    sale = SaleEvents()
    await portal.address("ann", ANN)
    await portal.apply(*sale.sold())
    try:
        assert await MailingPortal(portal.pool, url, ca=other_ca).mailer.run_once() == 1
        assert await server.mails() == [], "somebody else's certificate"
        await MailingPortal(portal.pool, url, ca=ca).send()
        assert len(await server.mails()) == 1
    finally:
        server.kill()
