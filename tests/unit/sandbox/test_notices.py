"""Webhooks that wait are bounded, and are given up at last."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import notices as module
from sandbox.accounts import Accounts
from sandbox.notices import ATTEMPTS_MAX, Notices


@pytest.fixture
def notices(tmp_path: Path) -> Iterator[Notices]:
    accounts = Accounts(tmp_path / "provider.sqlite")
    yield Notices(accounts.database)
    accounts.close()


def add(notices: Notices, name: str) -> None:
    notices.add("stripe", name, "payment_intent.succeeded", "pi_1", "{}")


def test_the_oldest_is_dropped_when_too_many_wait(notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    for name in "abcde":
        add(notices, name)
    assert [notice.event_id for notice in notices.due(10)] == ["c", "d", "e"]


def test_of_those_that_were_sent_the_last_can_be_sent_again(notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_MAX", 2)
    for name in "abcd":
        add(notices, name)
    for notice in notices.due(10):
        notices.sent(notice.notice_id)
    assert notices.counts() == {"waiting": 0, "sent": 2, "given_up": 0}
    assert notices.again() == 2
    assert [notice.event_id for notice in notices.due(10)] == ["c", "d"]


def test_what_failed_is_due_later_and_given_up_in_the_end(notices: Notices) -> None:
    add(notices, "a")
    (notice,) = notices.due(10)
    notices.failed(notice, 60_000_000)
    assert notices.due(10) == []
    assert notices.again() == 0
    for _ in range(ATTEMPTS_MAX - 1):
        notices.failed(module.Notice(**{**vars(notice), "attempts": notice.attempts + 1}), 0)
        notice = (notices.due(10) or [notice])[0]
    assert notices.counts() == {"waiting": 0, "sent": 0, "given_up": 1}


def test_a_change_that_is_rolled_back_is_not_told(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "provider.sqlite")
    notices = Notices(accounts.database)

    def fails() -> None:
        add(notices, "a")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        accounts.transaction(fails)
    assert notices.due(10) == []
    accounts.close()
