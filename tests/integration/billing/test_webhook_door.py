"""Where webhooks come in: what is believed, what is stored, what is answered."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from billing.webhooks.door import BODY_BYTES_MAX
from sandbox import signing
from stack.servers.mariadb import MariaDBServer
from tests.integration.billing.hooked import PROVIDERS, SECRETS, HookedWorld, redirected
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import new_id

HEADER = "X-Sandbox-Signature"


def a_body(**said: Any) -> bytes:
    known = {"event_id": f"evt_{new_id()}", "kind": "authorized", "reference": new_id(), "authorization_id": "auth_1"}
    return json.dumps(known | said).encode()


def signed(body: bytes, *, secrets: tuple[str, ...] = SECRETS, at_s: int | None = None) -> dict[str, str]:
    return {HEADER: signing.timestamped(secrets, body, int(time.time()) if at_s is None else at_s)}


def refused_so_far(code: str) -> float:
    return REGISTRY.get_sample_value("billing_webhooks_refused_total", {"code": code}) or 0.0


async def test_what_is_signed_is_stored_as_it_came_before_it_is_answered(hooked: HookedWorld) -> None:
    body = b' {"event_id":"evt_1","kind":"captured","reference":"r-1","authorization_id":"auth_1", "more":[1.50]}\n'
    sent = signed(body) | {"User-Agent": "Sandbox/1", "Authorization": "Bearer secret", "Cookie": "a=b"}
    told = await hooked.post_webhook(body, sent)
    assert (told.status, told.body["state"]) == (200, "received")
    (stored,) = await hooked.webhooks()
    assert stored["webhook_id"] == told.body["webhook_id"]
    assert (stored["body"], stored["state"]) == (body, "RECEIVED")
    assert (stored["provider"], stored["provider_event_id"], stored["kind"]) == ("sandbox", "evt_1", "captured")
    assert (stored["reference"], stored["authorization_id"], stored["repeats"]) == ("r-1", "auth_1", 0)
    headers = json.loads(stored["headers"])
    assert headers["user-agent"] == "Sandbox/1"
    assert headers["x-sandbox-signature"] == sent[HEADER]
    assert not {"authorization", "cookie"} & set(headers)


def _forged(body: bytes) -> dict[str, str]:
    return signed(body, secrets=("whsec_guessed",))


def _of_another_body(body: bytes) -> dict[str, str]:
    return signed(body + b" ")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (lambda _: {}, "missing"),
        (lambda _: {HEADER: "t=now,v1=abc"}, "malformed"),
        (_forged, "wrong"),
        (_of_another_body, "wrong"),
        (lambda body: signed(body, at_s=int(time.time()) - 301), "too_old"),
        (lambda body: signed(body, at_s=int(time.time()) + 360), "from_the_future"),
    ],
    ids=["missing", "malformed", "forged", "another body", "old", "from the future"],
)
async def test_what_the_provider_has_not_signed_lately_is_not_stored(
    hooked: HookedWorld, headers: Callable[[bytes], dict[str, str]], code: str
) -> None:
    body, before = a_body(), refused_so_far(code)
    refused = await hooked.post_webhook(body, headers(body))
    assert (refused.status, refused.code) == (400, "webhook_signature")
    assert refused_so_far(code) == before + 1
    assert await hooked.webhooks() == []


async def test_either_secret_may_have_signed(hooked: HookedWorld) -> None:
    for secret in SECRETS:
        body = a_body()
        assert (await hooked.post_webhook(body, signed(body, secrets=(secret,)))).status == 200


@pytest.mark.parametrize("provider", ["stripe", "nobody", "sandbox%00"])
async def test_another_provider_than_ours_is_not_heard(hooked: HookedWorld, provider: str) -> None:
    body = a_body()
    told = await hooked.post_webhook(body, signed(body), provider)
    assert (told.status, told.code) == (404, "provider_unknown")
    assert await hooked.webhooks() == []


async def test_what_is_signed_and_not_understood_is_kept_and_never_looked_at(hooked: HookedWorld) -> None:
    bodies = [b"", b"no json", b"[]", b'{"event_id": 5}', b"\xff\xfe", b"[" * 5000]
    for body in bodies:
        told = await hooked.post_webhook(body, signed(body))
        assert (told.status, told.body["state"]) == (200, "ignored")
    assert (await hooked.post_webhook(bodies[1], signed(bodies[1]))).body["state"] == "repeated"
    stored = await hooked.webhooks()
    assert [(row["body"], row["state"], row["due_at"]) for row in stored] == [
        (body, "IGNORED", None) for body in bodies
    ]
    assert await hooked.run("webhooks") == 0


async def test_a_body_has_a_bound(hooked: HookedWorld) -> None:
    largest = a_body().ljust(BODY_BYTES_MAX)
    assert (await hooked.post_webhook(largest, signed(largest))).status == 200
    refused = await hooked.post_webhook(largest + b" ", signed(largest + b" "))
    assert (refused.status, refused.code) == (413, "body_too_large")

    async def pieces() -> Any:
        for _ in range(5):
            yield b" " * (BODY_BYTES_MAX // 4)

    async with hooked.http.post(f"{hooked.base}/api/v1/webhooks/sandbox", data=pieces()) as response:
        assert response.status == 413
    elsewhere = f"{hooked.base}/api/v1/wallets/buyer-1/topups"
    headers = {"Idempotency-Key": "1", "Content-Type": "application/json"}
    async with hooked.http.post(elsewhere, data=b" " * 65_537, headers=headers) as response:
        assert response.status == 413
    assert len(await hooked.webhooks()) == 1


async def test_ids_longer_than_any_of_ours_are_kept_in_the_body_alone(hooked: HookedWorld) -> None:
    body = a_body(event_id="e" * 5000, kind="k" * 5000, reference="r" * 5000, authorization_id="a" * 5000)
    for _ in range(2):
        assert (await hooked.post_webhook(body, signed(body))).status == 200
    (stored,) = await hooked.webhooks()
    assert (stored["body"], stored["state"], stored["repeats"]) == (body, "IGNORED", 1)
    assert (stored["reference"], stored["authorization_id"]) == (None, None)


async def test_a_repetition_is_counted_and_makes_it_due_again_until_it_is_applied(hooked: HookedWorld) -> None:
    body = a_body()
    first = await hooked.post_webhook(body, signed(body))
    await hooked.run("webhooks")
    (waits,) = await hooked.webhooks()
    assert (waits["state"], waits["attempts"]) == ("UNMATCHED", 1)
    assert waits["due_at"] > (await hooked.rows("SELECT UTC_TIMESTAMP(6) AS now"))[0]["now"]
    again = await hooked.post_webhook(body, signed(body))
    assert (again.status, again.body) == (200, {"webhook_id": None, "state": "repeated"})
    (stored,) = await hooked.webhooks()
    assert (stored["webhook_id"], stored["repeats"]) == (first.body["webhook_id"], 1)
    assert await hooked.run("webhooks") == 1


async def test_many_repetitions_at_once_are_stored_once(hooked: HookedWorld) -> None:
    body = a_body()
    told = await asyncio.gather(*(hooked.post_webhook(body, signed(body)) for _ in range(20)))
    assert {answer.status for answer in told} == {200}
    assert sorted(answer.body["state"] for answer in told) == ["received"] + ["repeated"] * 19
    (stored,) = await hooked.webhooks()
    assert stored["repeats"] == 19


async def test_while_the_store_is_away_the_provider_keeps_it_and_sends_it_again(
    hooked: HookedWorld, mariadb_server: RunningServer[MariaDBServer]
) -> None:
    _, page = await redirected(await hooked.placed())
    body = a_body()
    mariadb_server.kill()
    try:
        refused = await hooked.post_webhook(body, signed(body))
        assert refused.status == 503
        assert await hooked.on_the_page(page) == 200
    finally:
        mariadb_server.start()
    await wait_until(hooked.all_sent, timeout_s=60)
    (stored,) = await hooked.webhooks()
    assert stored["kind"] == "authorized"


@pytest.mark.parametrize("hooked", PROVIDERS, indirect=True)
async def test_what_each_provider_sends_is_stored_with_what_it_is_about(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    assert await hooked.on_the_page(page) < 400
    await wait_until(hooked.all_sent)
    (first, *_) = await hooked.webhooks()
    found = await hooked.provider.fetch(payment_id)
    assert found is not None
    assert first["provider"] == hooked.provider.name
    assert first["authorization_id"] == found.authorization_id
    assert first["reference"] in (payment_id, None)
    assert msgspec.json.decode(first["body"])
