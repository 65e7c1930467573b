"""What changes is told by webhook, in the words of the wire by which it was done."""

import json
import time

import uuid_utils

from sandbox import mercadopago_bodies, stripe_bodies
from sandbox.accounts import Accounts
from sandbox.notices import Notices


class Announcements:
    """``notices`` None: nobody wants to know."""

    def __init__(self, accounts: Accounts, notices: Notices | None) -> None:
        self._accounts = accounts
        self._notices = notices

    def tell(self, wire: str, authorization_id: str) -> None:
        """Within the transaction of the change: it has become what it is now."""
        if self._notices is None:
            return
        held, at_us = self._accounts.read(authorization_id), time.time_ns() // 1000
        kind, event_id = str(held["state"]), f"evt_{uuid_utils.uuid7().hex}"
        match wire:
            case "stripe":
                body = stripe_bodies.event(event_id, kind, held, at_us // 1_000_000)
                self._notices.add(wire, event_id, str(body["type"]), body["data"]["object"]["id"], json.dumps(body))
            case "mercadopago":
                number = self._accounts.number(authorization_id)
                body = mercadopago_bodies.notification(number, kind, at_us, at_us)
                self._notices.add(wire, event_id, str(body["action"]), body["data"]["id"], json.dumps(body))
            case _:
                body = {
                    "event_id": event_id,
                    "kind": kind,
                    "reference": held["reference"],
                    "authorization_id": authorization_id,
                }
                self._notices.add("sandbox", event_id, kind, authorization_id, json.dumps(body))
