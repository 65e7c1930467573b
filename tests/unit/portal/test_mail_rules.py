"""Which mails a sale is worth, whatever the order in which its events came."""

from itertools import permutations

from portal.mail_rules import NEWS_US, Mail, told, wanted
from portal.sale import Sale
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.events import new_id


def kinds(sale: Sale) -> list[str]:
    return [mail.kind for mail in told(sale)]


def test_a_confirmed_sale_with_its_tickets() -> None:
    sale = SaleEvents()
    pending, authorized, issued, confirmed = sale.sold()

    assert kinds(folded(pending, authorized, issued)) == []
    assert kinds(folded(pending, authorized, confirmed)) == [], "the tickets are the news"
    assert told(folded(pending, authorized, issued, confirmed)) == [
        Mail(sale.order_id, "confirmed", sale.order_id, "ann")
    ]


def test_an_end_is_news_only_when_money_had_come() -> None:
    sale = SaleEvents()

    assert kinds(folded(sale.pending(), sale.declined(), sale.failed())) == []
    for arrived in permutations(sale.lost_late()):
        assert kinds(folded(*arrived)) == ["failed"]


def test_a_refund_is_told_when_decided_and_when_done() -> None:
    sale, first, second = SaleEvents(), new_id(), new_id()
    begun = [*sale.sold(), sale.tickets_voided(first, 0)]
    assert kinds(folded(*begun)) == ["voided"]
    done = [*begun, sale.refunded(first)]
    assert kinds(folded(*done)) == ["refunded"]
    assert [(mail.kind, mail.about) for mail in told(folded(*done, sale.tickets_voided(second, 1)))] == [
        ("refunded", first),
        ("voided", second),
    ]


def test_a_buyer_who_is_not_known_yet_is_told_nothing() -> None:
    sale, refund_id = SaleEvents(), new_id()

    assert told(folded(sale.confirmed(), sale.refunded(refund_id))) == []


def test_old_news_is_none() -> None:
    sale = folded(*SaleEvents().sold())

    assert len(wanted(sale, NOON_US + NEWS_US)) == 1
    assert wanted(sale, NOON_US + NEWS_US + 60_000_000) == []
    assert len(told(sale)) == 1


def test_a_mail_is_the_same_mail_for_ever() -> None:
    order_id, refund_id = new_id(), new_id()
    mails = [
        Mail(order_id, "confirmed", order_id, "ann"),
        Mail(order_id, "failed", order_id, "ann"),
        Mail(order_id, "voided", refund_id, "ann"),
        Mail(order_id, "refunded", refund_id, "ann"),
    ]

    assert len({mail.mail_id for mail in mails}) == 4
    assert mails[0].mail_id == Mail(order_id, "confirmed", order_id, "ann").mail_id
