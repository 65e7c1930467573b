"""The mails to buyers: plain text, in the words of the sale's page."""

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from portal.mail_rules import MailKind
from portal.phrases import moment
from portal.telling import Story

SUBJECTS: dict[MailKind, str] = {
    "confirmed": "Your tickets: {name}",
    "failed": "No tickets, and your money is yours again: {name}",
    "voided": "Void tickets, and your money comes back: {name}",
    "refunded": "Your money went back: {name}",
}


def letter(
    story: Story, kind: MailKind, *, mail_id: str, page: str, host: str, sender: str, recipient: str, now: datetime
) -> bytes:
    """Header and body as they are sent. ``host`` names us in the Message-ID, which is the same at every attempt."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = SUBJECTS[kind].format(name=story.name)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail_id}@{host}>"
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office answers
    message.set_content(text(story, page), cte="quoted-printable")
    return message.as_bytes()


def text(story: Story, page: str) -> str:
    """The body."""
    parts = [f"{story.name}\n\n{story.headline}.", *story.lines]
    if story.amount is not None:
        parts.append(story.amount)
    if story.places:
        parts.append(f"Places: {', '.join(story.places)}")
    if story.instead is not None:
        chosen, got = (", ".join(places) or "not known" for places in story.instead)
        parts.append(f"You chose: {chosen}\nYou have:  {got}")
    if story.tickets:
        lines = [f"- {ticket.place}{', VOID' if ticket.void else ''}, {ticket.ticket_id}" for ticket in story.tickets]
        parts.append("\n".join(["Tickets:", *lines]))
    parts += ["\n".join([back.text, *(f"- {detail}" for detail in back.details)]) for back in story.refunds]
    steps = [f"- {moment(at_us)}: {what}" for at_us, what in story.walk]
    parts.append("\n".join(["What happened:", *steps]))
    parts.append(f"How it stands now: {page}")
    return "\n\n".join(parts) + "\n"
