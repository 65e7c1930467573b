"""Events as they arrive, and what becomes of those that fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.delivery import Poison
from ticketflow.delivery.dialect import OutboxRow
from ticketflow.delivery.errors import RewindImpossible
from ticketflow.delivery.items import items_of, parked, verdict_on
from ticketflow.delivery.ledger import following
from ticketflow.events import BadEvent, HoldReleased, encode, envelope_for


def body(key: str = "k") -> bytes:
    return encode(envelope_for(HoldReleased(hold_id="h"), key=key, correlation_id="c"))


def test_events_are_numbered_from_the_first_seq() -> None:
    items = items_of(7, [body(), b"junk", body()])
    assert [item.seq for item in items] == [7, 8, 9]
    assert [item.envelope is None for item in items] == [False, True, False]
    assert items[1].fault.startswith("not an event")


@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    (item,) = items_of(1, [data])
    assert (item.envelope is None) == (item.fault != "")


def test_a_key_that_postgres_cannot_store_is_no_event() -> None:
    (item,) = items_of(1, [body("a\0b")])
    assert item.envelope is None


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (Poison("never"), 1, "poison"),
        (BadEvent("payload"), 1, "undecodable"),
        (KeyError("bug"), 1, None),
        (KeyError("bug"), 2, None),
        (KeyError("bug"), 3, "failed"),
    ],
)
def test_verdicts(error: Exception, attempts: int, reason: str | None) -> None:
    verdict = verdict_on(error, attempts, attempts_max=3)
    assert (verdict.reason if verdict else None) == reason


def test_a_parked_row_carries_the_bytes_and_a_detail_that_any_store_can_keep() -> None:
    bytes_ = body()
    (item,) = items_of(3, [bytes_])
    verdict = verdict_on(Poison("a\0b\ud800" + "x" * 9000), 1, 3)
    assert verdict is not None
    row = parked(item, verdict)
    assert (row.seq, row.key, row.kind, row.body) == (3, "k", "hold.released", bytes_)
    assert "\0" not in row.detail
    assert row.detail.encode().decode() == row.detail
    assert len(row.detail) <= 2000


def rows(*seqs: int) -> list[OutboxRow]:
    return [OutboxRow(seq, b"x") for seq in seqs]


def test_what_follows_is_given_as_it_is() -> None:
    assert following(4, rows(5, 6, 7)) == rows(5, 6, 7)


def test_what_comes_before_a_gap_is_given() -> None:
    assert following(4, rows(5, 7, 8)) == rows(5)
    assert following(4, rows(5, 5, 7)) == rows(5)


@pytest.mark.parametrize("seqs", [(6,), (6, 7), ()])
def test_what_does_not_follow_is_refused(seqs: tuple[int, ...]) -> None:
    with pytest.raises(RewindImpossible):
        following(4, rows(*seqs))
