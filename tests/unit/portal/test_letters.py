"""The mails as they are sent."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from portal.letters import letter
from portal.mail_rules import MailKind
from portal.telling import story_of
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.events import Envelope, new_id

PAGE = "https://tickets.example.org/sales/1"


def sent(kind: MailKind, *events: Envelope) -> tuple[EmailMessage, str]:
    content = letter(
        story_of(folded(*events), NOON_US),
        kind,
        mail_id="0c9f2a52-8a53-5d4c-8f0d-6f3a5d7f1c11",
        page=PAGE,
        host="example.org",
        sender="tickets@example.org",
        recipient="ann@example.org",
        now=datetime(2026, 11, 18, 12, tzinfo=UTC),
    )
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    content.decode("ascii")  # every mail server takes that
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message, message.get_content().replace("\r\n", "\n")


def test_tickets_by_mail() -> None:
    sale = SaleEvents()
    message, text = sent("confirmed", *sale.sold())

    assert message["Subject"] == "Your tickets: Aida"
    assert (message["From"], message["To"]) == ("tickets@example.org", "ann@example.org")
    assert message["Message-ID"] == "<0c9f2a52-8a53-5d4c-8f0d-6f3a5d7f1c11@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert f"- A-1 (stalls), {sale.tickets[0].ticket_id}" in text
    assert "Price: 25.00 EUR" in text
    assert text.rstrip().endswith(f"How it stands now: {PAGE}")


def test_other_places_by_mail() -> None:
    _, text = sent("confirmed", *SaleEvents().sold_late(moved=True))

    assert "You chose: A-1 (stalls), A-2 (stalls)\nYou have:  K-1 (stalls), K-2 (stalls)" in text


def test_refunds_by_mail() -> None:
    sale, refund_id = SaleEvents(), new_id()
    begun = [*sale.sold(), sale.tickets_voided(refund_id, 0)]
    message, text = sent("voided", *begun)
    assert message["Subject"].startswith("Void tickets")
    assert f"- A-1 (stalls), VOID, {sale.tickets[0].ticket_id}" in text

    message, text = sent("refunded", *begun, sale.refunded(refund_id))
    assert message["Subject"] == "Your money went back: Aida"
    assert "12.50 EUR went back the way you paid." in text


def test_a_lost_sale_by_mail() -> None:
    message, text = sent("failed", *SaleEvents().lost_late())

    assert message["Subject"] == "No tickets, and your money is yours again: Aida"
    assert "No money is kept" in text


@pytest.mark.parametrize("name", ["Fête ☃", "a\r\nBcc: bob@example.org", "x" * 3000, "=?utf-8?q?trick?="])
def test_a_name_cannot_add_to_the_headers(name: str) -> None:
    sale = SaleEvents()
    sale.event_name = name
    message, _ = sent("confirmed", *sale.sold())

    assert message["Bcc"] is None
    assert message.keys() == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    ]
