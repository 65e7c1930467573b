"""What is stored of a webhook, and when it is looked at again."""

import hashlib

import pytest

from billing.providers.port import WebhookEvent
from billing.webhooks.door import received
from billing.webhooks.inbox import unmatched_s
from ticketflow.events import is_id

BODY = b"{}"


def test_what_the_columns_have_room_for_is_stored_as_it_is() -> None:
    event = WebhookEvent("e" * 191, "k" * 64, "r" * 128, "a" * 128)
    one = received("stripe", event, {"Stripe-Signature": "t=1", "Authorization": "Bearer x"}, BODY)
    assert (one.provider_event_id, one.kind, one.reference, one.authorization_id) == (
        event.provider_event_id,
        event.kind,
        event.reference,
        event.authorization_id,
    )
    assert (one.headers, one.body, one.ignored) == ({"stripe-signature": "t=1"}, BODY, False)
    assert is_id(one.webhook_id)


def test_a_longer_event_id_is_known_by_its_digest() -> None:
    one, other = (received("stripe", WebhookEvent("e" * 191 + end, "k", "r", None), {}, BODY) for end in "ab")
    assert one.provider_event_id != other.provider_event_id
    assert len(one.provider_event_id) == 64


def test_longer_ids_are_nobody_s_and_a_longer_kind_is_cut() -> None:
    one = received("stripe", WebhookEvent("e", "k" * 65, "r" * 129, "a" * 129), {}, BODY)
    assert (one.kind, one.reference, one.authorization_id, one.ignored) == ("k" * 64, None, None, True)


def test_what_is_not_understood_is_known_by_its_body() -> None:
    one = received("stripe", None, {}, BODY)
    assert (one.provider_event_id, one.ignored) == (hashlib.sha256(BODY).hexdigest(), True)


def test_bytes_that_are_no_text_do_not_reach_the_store() -> None:
    """aiohttp gives them as halves of characters."""
    half = b"\xff".decode("utf-8", "surrogateescape")
    one = received("stripe", WebhookEvent(half, half, half, half), {"User-Agent": half * 5000}, BODY)
    for text in (one.provider_event_id, one.kind, one.reference, one.authorization_id, one.headers["user-agent"]):
        assert text is not None
        assert text.encode("utf-8").decode() == text
    assert len(one.headers["user-agent"]) == 1024


@pytest.mark.parametrize(("attempts", "wait_s"), [(0, 1), (1, 2), (11, 2048), (12, 3600), (10**6, 3600)])
def test_what_names_nothing_of_ours_is_looked_at_ever_more_rarely(attempts: int, wait_s: int) -> None:
    assert unmatched_s(attempts) == wait_s
