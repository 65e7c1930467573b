"""What a listener logs of senders that come again and again."""

from structlog.testing import capture_logs

from ticketflow.feed.seldom import QUIET_S, REMEMBERED_MAX
from ticketflow.feed.tls_faults import Fault, Found
from ticketflow.feed.tls_refusals import TlsRefusals

EXPIRED = Found(Fault.EXPIRED, by_peer=False, text="its certificate has expired")
PLAIN = Found(Fault.PLAIN_TEXT, by_peer=False, text="it speaks no TLS")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_is_told_and_what_follows_is_counted_into_the_next_line() -> None:
    clock = Clock()
    refusals = TlsRefusals(clock)
    with capture_logs() as lines:
        for port in (1001, 1002, 1003):
            refusals.tell("10.0.0.7", port, EXPIRED)
        clock.now_s += QUIET_S
        refusals.tell("10.0.0.7", 1004, EXPIRED)
    assert [(line["peer"], line["untold"]) for line in lines] == [("10.0.0.7:1001", 0), ("10.0.0.7:1004", 2)]


def test_another_reason_and_another_host_are_told_at_once() -> None:
    refusals = TlsRefusals(Clock())
    with capture_logs() as lines:
        refusals.tell("10.0.0.7", 1001, EXPIRED)
        refusals.tell("10.0.0.7", 1002, PLAIN)
        refusals.tell("10.0.0.8", 1003, EXPIRED)
    assert [(line["peer"], line["reason"]) for line in lines] == [
        ("10.0.0.7:1001", "expired"),
        ("10.0.0.7:1002", "plain_text"),
        ("10.0.0.8:1003", "expired"),
    ]


def test_what_is_remembered_is_bounded() -> None:
    refusals = TlsRefusals(Clock())
    with capture_logs() as lines:
        for host in range(REMEMBERED_MAX + 1):
            refusals.tell(f"host-{host}", 1001, EXPIRED)
        refusals.tell("host-0", 1001, EXPIRED)  # forgotten, so it is told again
        refusals.tell(f"host-{REMEMBERED_MAX}", 1001, EXPIRED)
    assert [line["peer"] for line in lines][-2:] == [f"host-{REMEMBERED_MAX}:1001", "host-0:1001"]
