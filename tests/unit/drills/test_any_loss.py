"""Whatever one row of a good history is lost, doubled or told otherwise: some checker finds it."""

from collections.abc import Iterator
from typing import Any

import pytest

from drills.checkers import check_all
from drills.history import Unit
from tests.unit.drills.story import Story, change, good_story

TABLES = ("holds", "orders", "payments", "tickets", "sales", "charges")
STREAMS = ("reservation", "billing", "portal")


def found(story: Story) -> list[str]:
    """The checkers that complain."""
    return [finding.name for finding in check_all(story.history()) if not finding.ok]


def every_row() -> Iterator[tuple[str, int]]:
    story = good_story()
    for table in TABLES:
        yield from ((table, index) for index in range(len(getattr(story, table))))


def every_event(where: str) -> Iterator[tuple[str, int]]:
    story = good_story()
    for stream in STREAMS:
        yield from ((stream, index) for index in range(len(getattr(story, where)[stream])))


@pytest.mark.parametrize(("table", "index"), list(every_row()))
def test_any_row_that_is_lost_is_found(table: str, index: int) -> None:
    story = good_story()
    del getattr(story, table)[index]

    assert found(story)


@pytest.mark.parametrize(("table", "index"), list(every_row()))
def test_any_row_in_another_state_is_found(table: str, index: int) -> None:
    rows: list[Any] = getattr(good_story(), table)
    if not hasattr(rows[index], "state"):
        return
    for other in {row.state for row in rows} | {"HELD", "PENDING", "AUTHORIZED", "VOIDED", "authorized"}:
        if other == rows[index].state:
            continue
        story = good_story()
        changed: list[Any] = getattr(story, table)
        changed[index] = change([changed[index]], changed[index], state=other)
        # What was released and what ran out end alike: only a buyer who was told can see the difference. And a charge's
        # state says less than its amounts.
        alike = {other, rows[index].state} == {"RELEASED", "EXPIRED"} or table == "charges"
        assert found(story) or alike, (table, rows[index], other)


@pytest.mark.parametrize(("stream", "index"), list(every_event("events")))
def test_any_event_that_its_sender_lost_is_found(stream: str, index: int) -> None:
    story = good_story()
    last_seq = len(story.events[stream])
    story.stream[stream] = {"last_seq": last_seq, "acked_seq": last_seq}
    del story.events[stream][index]

    # What billing loses before all that is left, and what stands at both ends all the same, is recovered.
    assert found(story) or (stream, index) == ("billing", 0)


@pytest.mark.parametrize(("stream", "index"), list(every_event("inbox")))
def test_any_event_that_its_receiver_lost_is_found(stream: str, index: int) -> None:
    story = good_story()
    del story.inbox[stream][index]

    assert "total-queue" in found(story)


@pytest.mark.parametrize(("stream", "index"), list(every_event("events")))
def test_any_event_that_was_never_stamped_is_found(stream: str, index: int) -> None:
    story = good_story()
    change(story.events[stream], story.events[stream][index], seq=None)

    assert found(story)


@pytest.mark.parametrize("seat", list(good_story().units))
def test_any_place_in_another_state_is_found(seat: str) -> None:
    before = good_story().units[seat]
    for other in (
        Unit(seat, "free", None),
        Unit(seat, "held", "h4"),
        Unit(seat, "sold", "h4"),
        Unit(seat, "sold", "h3"),
    ):
        story = good_story()
        story.units[seat] = other
        assert found(story) or other == before, other
