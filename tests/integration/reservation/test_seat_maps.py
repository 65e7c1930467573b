"""Seat maps and event pages from memory: as old as is promised at most, whoever sells, whatever the store does."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from reservation import bodies
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Event, Shop
from tests.support.running import RunningServer
from tests.support.waiting import wait_until

FRESH = {"Cache-Control": "no-cache"}
STALENESS = timedelta(seconds=1)
CLOCKS = timedelta(milliseconds=100)  # the age is counted by one clock, the time told by another
LONG: dict[str, Any] = {"seat_map_staleness_ms": 500_000, "seat_map_stale_max_ms": 500_000}


@pytest.fixture
async def slow(dsn: str, http: aiohttp.ClientSession) -> AsyncIterator[Shop]:
    """A replica that reads an event once and then not again, unless it is told to."""
    replica = await Replica.start(dsn, http, **LONG)
    yield replica.shop
    await replica.stop()


async def look(shop: Shop, event: Event, **headers: str) -> Answer:
    return await shop.call("GET", f"/api/v1/events/{event.event_id}/availability", headers=headers)


def states_of(answer: Answer) -> list[str]:
    return [seat["state"] for seat in answer.body["seats"]]


async def test_no_reader_is_shown_what_is_older_than_promised(replicas: list[Replica]) -> None:
    event = await replicas[0].shop.event(seats=20)

    async def sell() -> None:
        for seat in event.seats:
            await Buyer(replicas[0].shop).hold(event, [seat])
            sold_at[seat] = datetime.now(UTC)
            await asyncio.sleep(0.1)

    sold_at: dict[str, datetime] = {}
    selling = asyncio.create_task(sell())
    while not selling.done():
        for replica in replicas:
            asked = datetime.now(UTC)
            answer = await look(replica.shop, event)
            as_of = datetime.fromisoformat(answer.body["as_of"])
            assert as_of >= asked - STALENESS - CLOCKS
            shown = {seat["seat_id"]: seat["state"] for seat in answer.body["seats"]}
            for seat, at in sold_at.items():
                assert shown[seat] == "held" or at > as_of - CLOCKS, "what was acknowledged before it was made is in it"
        await asyncio.sleep(0.03)
    await selling
    for replica in replicas:
        await wait_until(lambda shop=replica.shop: _all_held(shop, event))  # type: ignore[misc]


async def _all_held(shop: Shop, event: Event) -> bool:
    answer = await look(shop, event)
    assert set(states_of(answer)) == {"held"}
    return True


async def test_a_lapse_is_seen_although_nobody_writes_it(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1, standing=1)
    hold = await Buyer(shop).hold(event, event.seats, standing=1)
    await truth.let_pass(hold.hold_id, 300 + 60 - 3)
    await shop.call("GET", f"/api/v1/events/{event.event_id}")

    async def free() -> bool:
        tiers = (await look(shop, event)).body["tiers"]
        page = (await shop.call("GET", f"/api/v1/events/{event.event_id}")).body["tiers"]
        assert [tier["free"] for tier in (*tiers, *page)] == [1, 1, 1, 1]
        return True

    await wait_until(free)
    assert await truth.states(event.event_id) == [("held", 2)]


async def test_between_two_looks_nothing_is_read(slow: Shop, replica: Replica) -> None:
    event = await replica.shop.event(seats=3)
    first = await look(slow, event)
    await Buyer(replica.shop).hold(event, event.seats[:1])
    second = await look(slow, event)
    assert second.body == first.body, "as_of too"
    assert states_of(second) == ["free", "free", "free"]


async def test_who_has_lost_a_seat_may_see_what_is_so_now(slow: Shop, replica: Replica) -> None:
    event = await replica.shop.event(seats=2)
    await look(slow, event)
    for seat, expected in zip(event.seats, (["held", "free"], ["held", "held"]), strict=True):
        await Buyer(replica.shop).hold(event, [seat])
        assert states_of(await look(slow, event, **FRESH)) == expected
        assert states_of(await look(slow, event)) == expected, "others are shown it too"


async def test_what_a_reader_has_already_is_not_sent_again(replicas: list[Replica]) -> None:
    shop, other = (replica.shop for replica in replicas)
    event = await shop.event(seats=2)
    first = await look(shop, event)
    assert first.headers["Cache-Control"] == "public, max-age=1"
    assert first.headers["Vary"] == "Accept-Encoding"
    etag = first.headers["ETag"]
    for one in (shop, other):
        again = await look(one, event, **{"If-None-Match": etag}, **FRESH)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    await Buyer(shop).hold(event, event.seats[:1])
    for one in (shop, other):
        changed = await look(one, event, **{"If-None-Match": etag}, **FRESH)
        assert changed.status == 200
        assert changed.headers["ETag"] != etag
        assert states_of(changed) == ["held", "free"]


async def test_an_events_page_is_told_by_the_same_rules(slow: Shop, replica: Replica) -> None:
    event = await replica.shop.event(seats=2)
    path = f"/api/v1/events/{event.event_id}"
    page = await slow.call("GET", path)
    await Buyer(replica.shop).hold(event, event.seats[:1])
    again = await slow.call("GET", path, headers={"If-None-Match": page.headers["ETag"]})
    assert again.status == 304
    fresh = await slow.call("GET", path, headers=FRESH | {"If-None-Match": page.headers["ETag"]})
    assert (fresh.status, fresh.body["tiers"][0]["free"]) == (200, 1)


@pytest.mark.parametrize("seats", [1, 900, 10_000])
async def test_gzip_and_plain_say_the_same(http: aiohttp.ClientSession, slow: Shop, seats: int) -> None:
    """The longest is sent in pieces."""
    event = await _hall(slow, seats)
    url = f"{slow.base}/api/v1/events/{event.event_id}/availability"
    plain = await _raw(http, url, {"Accept-Encoding": "identity"})
    packed = await _raw(http, url, {"Accept-Encoding": "gzip"})
    assert packed[1].get("Content-Encoding") == "gzip"
    assert "Content-Encoding" not in plain[1]
    assert gzip.decompress(packed[0]) == plain[0]
    assert plain[1]["ETag"] == packed[1]["ETag"]
    for body, headers in (plain, packed):
        assert headers["Content-Length"] == str(len(body))
        assert headers["Content-Type"] == "application/json"
    if seats >= 900:
        assert len(packed[0]) < len(plain[0]) / 6
    assert len(msgspec.json.decode(plain[0], type=bodies.Availability).seats) == seats
    async with http.head(url) as response:
        assert (response.status, await response.read()) == (200, b"")


async def _raw(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> tuple[bytes, Any]:
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.get(url, headers=headers) as response:
        assert response.status == 200
        return await response.read(), response.headers


async def _hall(shop: Shop, seats: int) -> Event:
    venue = await shop.admin("venues", {"name": "Arena"})
    rows = [{"row": f"R{n}", "seats": min(seats - start, 1000)} for n, start in enumerate(range(0, seats, 1000))]
    hall = await shop.admin("halls", {"venue_id": venue["venue_id"], "name": "Main", "rows": rows})
    tier = {"name": "all", "price_minor": 100, "rows": [row["row"] for row in rows]}
    wanted = {"hall_id": hall["hall_id"], "name": "E", "starts_at": "2099-01-01T20:00:00Z", "currency": "EUR"}
    made = await shop.admin("events", wanted | {"tiers": [tier]})
    return Event(shop, made["event_id"])


async def test_a_thousand_readers_at_once_are_one_question(dsn: str, http: aiohttp.ClientSession, shop: Shop) -> None:
    event = await shop.event(seats=2)
    replica = await Replica.start(dsn, http, **LONG)
    try:
        answers = await asyncio.gather(*(look(replica.shop, event) for _ in range(1000)))
        assert len({answer.body["as_of"] for answer in answers}) == 1
    finally:
        await replica.stop()


async def test_places_that_are_no_longer_those_it_knew_are_read_anew(slow: Shop, truth: Truth) -> None:
    """As after a restore to a time before they were, or after a hand in the database."""
    event = await slow.event(seats=3)
    await look(slow, event)
    await truth.conn.execute("DELETE FROM units WHERE unit_id = $1", event.seats[1])
    answer = await look(slow, event, **FRESH)
    assert [seat["seat_id"] for seat in answer.body["seats"]] == [event.seats[0], event.seats[2]]


async def test_while_the_store_is_away_the_last_is_shown_and_then_nothing(
    dsn: str, http: aiohttp.ClientSession, postgres_server: RunningServer[PostgresServer]
) -> None:
    replica = await Replica.start(dsn, http, seat_map_staleness_ms=0, seat_map_stale_max_ms=500_000)
    brief = await Replica.start(dsn, http, seat_map_staleness_ms=0, seat_map_stale_max_ms=200)
    event = await replica.shop.event(seats=1)
    seen = await look(replica.shop, event)
    await look(brief.shop, event)
    postgres_server.stop()
    try:
        for _ in range(3):
            stale = await look(replica.shop, event)
            assert stale.status == 200
            assert stale.body["as_of"] >= seen.body["as_of"]
            assert states_of(stale) == ["free"]
        refused = await look(replica.shop, event, **FRESH)
        assert (refused.status, refused.code) == (503, "store_unavailable")
        late = await wait_until(lambda: _refused(brief.shop, event))
        assert late is not None
        assert (late.code, late.headers["Retry-After"]) == ("store_unavailable", "1")
    finally:
        postgres_server.start()
    await Buyer(replica.shop).hold(event, event.seats)
    await wait_until(lambda: _all_held(replica.shop, event))
    await wait_until(lambda: _all_held(brief.shop, event))
    await replica.stop()
    await brief.stop()


async def _refused(shop: Shop, event: Event) -> Answer | None:
    answer = await look(shop, event)
    return answer if answer.status == 503 else None


async def test_what_is_promised_stands_in_the_document(shop: Shop) -> None:
    document = (await shop.call("GET", "/openapi.json")).body
    operation = document["paths"]["/api/v1/events/{event_id}/availability"]["get"]
    assert "1000 ms ago at most" in operation["description"]
    assert {"200", "304"} <= set(operation["responses"])
    assert {"If-None-Match", "Cache-Control"} <= {parameter["name"] for parameter in operation["parameters"]}
