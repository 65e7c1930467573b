"""`demo`: 120 buyers at once want 60 seats; exactly 60 are sold, in each of the three stores."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

from stack import queries
from stack.demo import walk
from stack.demo.buyers import Crowd, Outcome, Sale, buy, leave_address
from stack.progress import say
from stack.queries import Stores, Totals
from stack.seed import create_event, seed
from stack.shop import Shop, open_shop
from stack.stack import Stack
from ticketflow.events import buyer_token

BUYERS = 120
BUYER_IDS = [f"buyer-{number:03}" for number in range(1, BUYERS + 1)]
SEATS = 60
ROWS = ["A", "B", "C"]  # 20 seats each
AGREE_S = 30
TELL_S = 1.0


def demo(stack: Stack) -> int:
    """Returns 0 when every seat was sold once and the stores agree, else 1. Raises StackError."""
    hall_id = seed(stack).hall_id
    name = f"Demo {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    say(f"\n{BUYERS} buyers want {SEATS} seats of `{name}`, all at once:")
    begun = time.monotonic()
    event_id, sales, refused = asyncio.run(_sell(stack, hall_id, name))
    took_s = time.monotonic() - begun
    outcomes = Counter(sale.outcome for sale in sales)
    say(f"  {took_s:.1f} s: " + ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in Outcome if outcomes[outcome]))
    say(f"  {refused} times a seat was snatched away between looking and asking (409 seat_unavailable)")
    for sale in sales:
        if sale.outcome is Outcome.FAILED:
            say(f"  {sale.buyer_id}, seat {sale.label}, hold {sale.hold_id}: {sale.said}")
    with queries.stores(stack) as stores:
        totals = _when_they_agree(stores, event_id)
        _tell_one_walk(stores, sales)
    problems = _disagreements(totals, outcomes)
    _tell_totals(totals, problems)
    _tell_where_to_go(stack, event_id, sales)
    return 1 if problems else 0


async def _sell(stack: Stack, hall_id: str, name: str) -> tuple[str, list[Sale], int]:
    crowd = Crowd()
    async with open_shop(stack.settings.base_url, stack.secrets.get("admin-key")) as shop:
        tiers = [{"name": "Stalls", "price_minor": 4500, "rows": ROWS}]
        event_id = await create_event(shop, hall_id, {"name": name, "tiers": tiers})
        await _leave_addresses(shop, stack.secrets.get("hold-token-key"))
        progress = asyncio.create_task(_tell_progress(crowd))
        try:
            sales = await asyncio.gather(*(buy(shop, crowd, event_id, buyer_id) for buyer_id in BUYER_IDS))
        finally:
            progress.cancel()
    return event_id, sales, crowd.refused_seats


async def _leave_addresses(shop: Shop, key: str) -> None:
    tokens = {buyer_id: buyer_token.issue([key], buyer_id) for buyer_id in BUYER_IDS}
    await asyncio.gather(*(leave_address(shop, buyer_id, token) for buyer_id, token in tokens.items()))


async def _tell_progress(crowd: Crowd) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(TELL_S)
        doing = ", ".join(f"{count} {what}" for what, count in crowd.doing.items() if count)
        say(f"  {time.monotonic() - begun:.0f} s: {doing}")


def _when_they_agree(stores: Stores, event_id: str) -> Totals:
    """Billing confirms a moment before portal has heard of it: asked again until they agree, or time is up."""
    deadline = time.monotonic() + AGREE_S
    while True:
        totals = stores.totals(event_id)
        if totals.sales_tickets == totals.sales == totals.confirmed == totals.sold or time.monotonic() > deadline:
            return totals
        time.sleep(0.1)


def _disagreements(totals: Totals, outcomes: Counter[Outcome]) -> list[str]:
    """What is wrong, in words; empty when all is well."""
    wanted = {
        "places in reservation": (totals.places, SEATS),
        "sold seats in reservation": (totals.sold, SEATS),
        "confirmed orders in billing": (totals.confirmed, SEATS),
        "tickets in billing": (totals.tickets, SEATS),
        "confirmed sales in portal": (totals.sales, SEATS),
        "tickets in portal": (totals.sales_tickets, SEATS),
        "buyers with a ticket": (outcomes[Outcome.CONFIRMED], SEATS),
        "buyers told that it is sold out": (outcomes[Outcome.SOLD_OUT], BUYERS - SEATS),
        "captured money": (totals.captured_minor, SEATS * 4500),
    }
    return [f"{what}: {found}, not {right}" for what, (found, right) in wanted.items() if found != right]


def _tell_one_walk(stores: Stores, sales: list[Sale]) -> None:
    sale = next((sale for sale in reversed(sales) if sale.outcome is Outcome.CONFIRMED), None)
    if sale is not None:
        say(f"\nThe walk of one sale: {sale.buyer_id}, seat {sale.label}, order {sale.hold_id}")
        for line in walk.lines(stores, sale.hold_id):
            say(line)


def _tell_totals(totals: Totals, problems: list[str]) -> None:
    money = f"{totals.captured_minor / 100:,.2f} {totals.currency}"
    say("\nThe three stores:")
    say(f"  reservation  Postgres  {totals.sold} of {totals.places} seats sold")
    say(f"  billing      MariaDB   {totals.confirmed} orders confirmed, {totals.tickets} tickets, {money} captured")
    say(f"  portal       Postgres  {totals.sales} sales confirmed, {totals.sales_tickets} tickets")
    say("  they agree: every seat was sold once" if not problems else "  THEY DO NOT AGREE:")
    for problem in problems:
        say(f"    {problem}")


def _tell_where_to_go(stack: Stack, event_id: str, sales: list[Sale]) -> None:
    url = stack.settings.base_url
    sold = next((sale for sale in reversed(sales) if sale.outcome is Outcome.CONFIRMED), None)
    buyer_id = sold.buyer_id if sold is not None else BUYER_IDS[0]
    say("\nWhere to go on:")
    say(f"  {url}/api/v1/events/{event_id}/availability")
    say(f"  {url}/api/v1/sales?buyer_id={buyer_id}")
    if sold is not None:
        say(f"  {url}/sales/{sold.hold_id}  (the same sale as its buyer's page)")
    say(f"  http://127.0.0.1:{stack.ports.mail_http}/mails?to={buyer_id}@buyers.example")
    say(f"  {url}/openapi/reservation.json  (billing, portal)")
    say("  make status   make logs   make stop   make clean")
