"""What a mail server took, the newest KEPT of it, in memory: a stand-in forgets when it ends."""

from collections import deque
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

KEPT = 500


@dataclass(frozen=True)
class Caught:
    """One mail. ``text``: its body as it is read; ``headers``: the last of each name, in lower case."""

    number: int
    sender: str
    recipients: list[str]
    received_at_us: int
    headers: dict[str, str]
    text: str


class Postbox:
    def __init__(self, kept: int = KEPT) -> None:
        self._mails: deque[Caught] = deque(maxlen=kept)
        self.taken = 0

    def put(self, sender: str, recipients: list[str], content: bytes, now_us: int) -> Caught:
        """Whatever the content is: nothing of it raises."""
        self.taken += 1
        headers, text = _read(content)
        mail = Caught(self.taken, sender, recipients, now_us, headers, text)
        self._mails.append(mail)
        return mail

    def find(self, to: str | None, limit: int) -> list[Caught]:
        """The newest first; ``to``: those to this address."""
        found = [mail for mail in reversed(self._mails) if to is None or to in mail.recipients]
        return found[:limit]

    def empty(self) -> None:
        self._mails.clear()


def _read(content: bytes) -> tuple[dict[str, str], str]:
    try:
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        headers = {name.lower(): str(value) for name, value in message.items()}
        body = message.get_body(("plain",))
        return headers, body.get_content() if body is not None else ""
    except Exception:  # the standard library's parser raises many kinds on what is no mail
        return {}, content.decode("utf-8", "replace")
