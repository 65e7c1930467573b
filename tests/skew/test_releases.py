"""The next release is another one: bytes of each are read by the other."""

import subprocess
import sys

import pytest

from tests.skew.releases import Release, build

SAY = """
import sys
from ticketflow.events import HoldReleased, encode, envelope_for, kinds
from ticketflow.feed import VERSION, Hello, Welcome
from ticketflow.feed import messages
shapes = [HoldReleased(hold_id="h")]
if hasattr(kinds, "HoldExtended"):
    shapes.append(kinds.HoldExtended(hold_id="h", until_us=1))
for shape in shapes:
    print(encode(envelope_for(shape, key="k", correlation_id="c", now_us=1)).hex())
print(messages.encode(Hello(VERSION, "orders", 1, 1, 9, "one")).hex())
print(messages.encode(Welcome(1, 1, 4, 8, 262144, 2000, 6000, "two")).hex())
"""
HEAR = """
import sys
from ticketflow.events import decode, payload_of
from ticketflow.feed import messages
*events, hello, welcome = [bytes.fromhex(line) for line in sys.stdin.read().split()]
for body in events:
    event = decode(body)
    print(event.kind, event.version, payload_of(event))
print(messages.decode(hello))
print(messages.decode(welcome))
"""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    return {release.name: release for release in build(tmp_path_factory.mktemp("releases"))}


def run(release: Release, program: str, told: str = "") -> list[str]:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=release.tree, input=told, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def passed(sender: Release, receiver: Release) -> list[str]:
    """What ``receiver`` makes of what ``sender`` says."""
    return run(receiver, HEAR, "\n".join(run(sender, SAY)))


def test_the_present_reads_what_the_next_writes_by_the_fields_that_it_knows(releases: dict[str, Release]) -> None:
    heard = passed(releases["next"], releases["present"])
    assert heard[:2] == ["hold.released 2 HoldReleased(hold_id='h')", "hold.extended 1 None"]
    assert heard[2].startswith("Hello(version=2, stream='orders', epoch=1, fence=1, last_seq=9, sender='one'")
    assert heard[3].startswith("Welcome(version=1, epoch=1, watermark=4, window_events=8")


def test_the_next_reads_what_the_present_writes_with_its_defaults(releases: dict[str, Release]) -> None:
    heard = passed(releases["present"], releases["next"])
    assert heard[0] == "hold.released 1 HoldReleased(hold_id='h', released_by='nobody')"
    assert heard[1].startswith("Hello(version=1, stream='orders'")
    assert heard[2].startswith("Welcome(version=1, epoch=1, watermark=4, window_events=8")
