"""The provider's page where a buyer pays, whichever wire it was made by."""

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl

from sandbox.accounts import Accounts, Answer, Refused
from sandbox.announcements import Announcements
from sandbox.checkouts import Checkout, Checkouts
from sandbox.desk import Desk
from ticketflow.currencies import to_decimal
from ticketflow.runtime.http import Problem, Reply, Request, Route

CARDS = ("tok_ok", "tok_declined", "tok_insufficient")
HTML = {"Content-Type": "text/html; charset=utf-8"}
SENT_BACK = 303


def page_url(request: Request, checkout_id: str) -> str:
    """By the name under which the provider was asked."""
    return f"http://{request.headers.get('Host', 'localhost')}/pay/{checkout_id}"


class Pages:
    """No key is needed: the address is the secret, as with the real ones."""

    def __init__(self, desk: Desk, accounts: Accounts, checkouts: Checkouts, announcements: Announcements) -> None:
        self._desk = desk
        self._accounts = accounts
        self._checkouts = checkouts
        self._announcements = announcements

    def routes(self) -> list[Route]:
        one = "/pay/{checkout}"
        return [
            Route(method="GET", path=one, handler=self.show, summary="The page where a buyer pays"),
            Route(method="POST", path=one, handler=self.pay, summary="The buyer pays: card_token=...", body=bytes),
        ]

    async def show(self, request: Request) -> Reply:
        try:
            checkout = await self._desk.blocking(lambda: self._checkouts.payable(request.path["checkout"]))
        except Refused as refused:
            raise Problem(refused.status, refused.code, refused.detail) from refused
        amount = f"{to_decimal(checkout.amount_minor, checkout.currency)} {checkout.currency}"
        cards = "".join(f'<button name="card_token" value="{card}">{card}</button>' for card in CARDS)
        page = f'<!doctype html><title>Pay</title><p>{escape(amount)}</p><form method="post">{cards}</form>'
        return Reply(200, page.encode(), HTML)

    async def pay(self, request: Request) -> Reply:
        card_token = self._form(request.body).get("card_token", "")
        try:
            checkout, answer = await self._desk.blocking(
                lambda: self._accounts.transaction(lambda: self._paid(request.path["checkout"], card_token))
            )
        except Refused as refused:
            raise Problem(refused.status, refused.code, refused.detail) from refused
        self._desk.changed()
        if answer.status != 402 and checkout.return_url is not None:
            return Reply(SENT_BACK, None, {"Location": checkout.return_url})
        return Reply(402 if answer.status == 402 else 200, {"state": answer.body["state"]})

    def _paid(self, checkout_id: str, card_token: str) -> tuple[Checkout, Answer]:
        """A declined card leaves the page as it is: the buyer may try another."""
        checkout = self._checkouts.payable(checkout_id)
        answer = self._accounts.authorize(checkout.reference, checkout.amount_minor, checkout.currency, card_token)
        authorization_id = answer.body["authorization_id"]
        if answer.status != 402:
            self._checkouts.paid(checkout_id, authorization_id)
            if checkout.captures:
                answer = self._accounts.capture(authorization_id, checkout.amount_minor)
        self._announcements.tell(checkout.wire, authorization_id)
        return checkout, answer

    @staticmethod
    def _form(body: bytes) -> Mapping[str, str]:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))
