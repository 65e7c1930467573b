"""The table of states keeps its laws, and the document shows it."""

from pathlib import Path

import pytest

from ticketflow.feed.messages import MESSAGES, Events, Goodbye, Refuse
from ticketflow.feed.states import TRANSITIONS, Role, State, Way, as_markdown

DOCUMENT = Path(__file__).parents[3] / "docs" / "feed-protocol.md"
BEGUN = [State.NEW, State.GREETED, State.STREAMING, State.FINISHING]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", BEGUN)
def test_refuse_ends_a_session_in_every_state_from_either_side(role: Role, state: State) -> None:
    for way in Way:
        assert TRANSITIONS[role][state][way, Refuse] is State.CLOSED


@pytest.mark.parametrize("role", Role)
def test_nothing_leaves_closed(role: Role) -> None:
    assert TRANSITIONS[role][State.CLOSED] == {}


@pytest.mark.parametrize("role", Role)
def test_no_events_count_after_goodbye(role: Role) -> None:
    row = TRANSITIONS[role][State.FINISHING]
    assert (Way.SEND, Events) not in row
    assert all((Way.SEND, Goodbye) not in TRANSITIONS[role][state] for state in BEGUN if state is not State.STREAMING)


@pytest.mark.parametrize("role", Role)
def test_every_state_can_be_reached(role: Role) -> None:
    reached = {State.NEW}
    for _ in BEGUN:
        reached |= {after for state in reached for after in TRANSITIONS[role][state].values()}
    assert reached == set(State)


def test_what_one_end_may_send_the_other_may_receive_in_the_state_it_is_then_in() -> None:
    other = {Role.SENDER: Role.RECEIVER, Role.RECEIVER: Role.SENDER}
    for role in Role:
        for state in BEGUN:
            for (way, message), after in TRANSITIONS[role][state].items():
                if way is Way.SEND:
                    assert TRANSITIONS[other[role]][state].get((Way.RECEIVE, message)) is after


@pytest.mark.parametrize("role", Role)
def test_the_document_shows_the_table(role: Role) -> None:
    assert as_markdown(role) in DOCUMENT.read_text()


def test_the_document_describes_every_message() -> None:
    text = DOCUMENT.read_text()
    for message in MESSAGES:
        assert f"### {message.__name__.upper()}" in text
        for field in message.__struct_fields__:
            assert f"`{field}`" in text
