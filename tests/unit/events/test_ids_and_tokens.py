"""Ids are UUIDv7 that tell their time; a hold's token proves the hold and nothing else."""

import time

from ticketflow.events import buyer_token, hold_token, is_id, new_id, time_of_us

HOLD = "01890a5d-ac96-774b-bcce-b302099a8057"
OTHER = "01890a5d-ac96-774b-bcce-b302099a8058"


def test_a_new_id_is_one_and_tells_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert is_id(made)
    assert before <= time_of_us(made) // 1000 <= after


def test_ids_made_one_after_another_sort_that_way() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000


def test_other_spellings_are_no_ids() -> None:
    assert not is_id(HOLD.upper())
    assert not is_id("{" + HOLD + "}")
    assert not is_id("9b2c9c0a-1b2f-4c6e-8a51-0f5d5a2b7c11")  # version 4
    assert not is_id("")
    assert not is_id(HOLD + "\n")


def test_the_token_fits_its_hold_only() -> None:
    token = hold_token.issue(["k1"], HOLD)
    assert len(token) == 43
    assert hold_token.verify(["k1"], HOLD, token)
    assert not hold_token.verify(["k1"], OTHER, token)
    assert not hold_token.verify(["k2"], HOLD, token)
    assert not hold_token.verify(["k1"], HOLD, "")
    assert not hold_token.verify(["k1"], HOLD, "é\ud800")


def test_a_key_can_be_changed_while_holds_live() -> None:
    old = hold_token.issue(["old"], HOLD)
    assert hold_token.verify(["new", "old"], HOLD, old)
    assert hold_token.issue(["new", "old"], HOLD) != old


def test_a_buyers_token_is_his_and_no_holds() -> None:
    token = buyer_token.issue(["k1"], HOLD)
    assert len(token) == 43
    assert buyer_token.verify(["k2", "k1"], HOLD, token)
    assert not buyer_token.verify(["k1"], OTHER, token)
    assert not buyer_token.verify(["k1"], HOLD, hold_token.issue(["k1"], HOLD)), "the same id, another purpose"
    assert not buyer_token.verify([], HOLD, token)
    assert not buyer_token.verify(["k1"], "ünn\ud800", "é\ud800")
