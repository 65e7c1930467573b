"""The targets: bytes in, words about what happened out; AssertionError when a law is broken."""

from collections.abc import Callable

from tests.fuzz import laws
from tests.fuzz.ends import End
from tests.fuzz.judge import well_formed
from tests.fuzz.program import Op, read
from ticketflow import events
from ticketflow.events.envelope import EVENT_BYTES_MAX
from ticketflow.feed.errors import Code, Refused, RemoteProtocolError
from ticketflow.feed.frames import FrameReader
from ticketflow.feed.limits import FRAME_BYTES_MAX, REASON_CHARS_MAX, SMALL_BYTES_MAX
from ticketflow.feed.messages import decode, encode
from ticketflow.feed.protocol import Ended, Event
from ticketflow.feed.states import Role

Words = list[str]
CAPS = (SMALL_BYTES_MAX, FRAME_BYTES_MAX, 16, 1)
REASON_OF_AN_EVENT_MAX = 1000


def frames(data: bytes) -> Words:
    """First byte: which cap, and how the rest is cut. Bodies are those of a reader that has everything at once."""
    first, stream = (data[0] if data else 0), data[1:]
    cap, cut = CAPS[first & 3], (first >> 2) or len(stream) or 1
    reader, bodies, refused = FrameReader(cap), list[bytes](), ""
    try:
        for at in range(0, len(stream), cut):
            reader.feed(stream[at : at + cut])
            while (body := reader.next()) is not None:
                bodies.append(bytes(body))
            assert len(reader._begun) <= cap + 4 + cut
    except RemoteProtocolError as error:
        refused = error.code
    expected, code, partial = _cut_by_hand(stream, cap)
    assert (bodies, refused) == (expected, code)
    assert refused or reader.partial == partial
    return [*(["bodies"] if bodies else []), refused or ("partial" if reader.partial else "whole")]


def _cut_by_hand(stream: bytes, cap: int) -> tuple[list[bytes], str, bool]:
    bodies: list[bytes] = []
    while len(stream) >= 4:
        length = int.from_bytes(stream[:4], "big")
        if length == 0 or length > cap:
            return bodies, "frame_too_large" if length else "bad_frame", True
        if len(stream) < 4 + length:
            break
        bodies.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return bodies, "", bool(stream)


def messages(body: bytes) -> Words:
    """A frame's body is taken by us exactly when the document, read by someone else, says that it is a message."""
    verdict = well_formed(body)
    try:
        message = decode(body)
    except RemoteProtocolError as error:
        assert verdict is not True, f"a good message was refused: {error}"
        assert error.code in (Code.BAD_MESSAGE, Code.FRAME_TOO_LARGE)
        assert len(error.reason) <= REASON_CHARS_MAX
        return [error.code]
    assert verdict is not False, f"a bad message was taken: {message}"
    assert decode(encode(message)) == message
    assert len(str(message)) < 2000
    return ["good", type(message).__name__.lower()]


def receiver(program: bytes) -> Words:
    return _session(Role.RECEIVER, program)


def sender(program: bytes) -> Words:
    return _session(Role.SENDER, program)


def _session(role: Role, program: bytes) -> Words:
    start, steps = read(program)
    end = End(role, start)
    words = [str(end.core.state)]
    for step in steps:
        before, since, events_before = end.core.pending_bytes, end.now, len(end.events)
        bytes_before = end.core.counts.bytes_in
        end.step(step)
        arrived = end.core.counts.bytes_in - bytes_before
        laws.after_a_step(end, arrived, before, since, acted=step.op in (Op.ACT, Op.TAKE))
        words += map(_word, end.events[events_before:])
    laws.at_the_end(end)
    return words


def _word(event: Event) -> str:
    if not isinstance(event, Ended):
        return type(event).__name__.lower()
    if isinstance(event.error, RemoteProtocolError):
        return str(event.error.code)
    return "refused" if isinstance(event.error, Refused) else type(event.error).__name__.lower()


def envelopes(body: bytes) -> Words:
    """Any bytes as an event."""
    return _event(body)


def payloads(data: bytes) -> Words:
    """First byte: the kind; the rest is the payload of a good envelope."""
    kinds = [*events.PAYLOADS, "kind.of.tomorrow"]
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    head = b"\x87\xa2id\xd9\x2401890a5d-ac96-774b-bcce-b302099a8057\xa4kind" + bytes([0xA0 + len(kind)]) + kind.encode()
    more = b"\xa7version\x01\xa3key\xa1k\xaeoccurred_at_us\x01\xaecorrelation_id\xa1c\xa7payload"
    return [kind, *_event(head + more + data[1:])]


def _event(body: bytes) -> Words:
    try:
        envelope = events.decode(body)
    except events.BadEvent as error:
        assert len(str(error)) <= REASON_OF_AN_EVENT_MAX
        return ["no_event"]
    if len(body) <= EVENT_BYTES_MAX:
        assert events.decode(events.encode(envelope)) == envelope
    try:
        payload = events.payload_of(envelope)
    except events.BadEvent as error:
        assert len(str(error)) <= REASON_OF_AN_EVENT_MAX
        return ["bad_payload"]
    if payload is None:
        assert envelope.kind not in events.PAYLOADS
        return ["unknown_kind"]
    again = events.envelope_for(payload, key=envelope.key, correlation_id=envelope.correlation_id)
    assert events.payload_of(again) == payload
    return ["good"]


TARGETS: dict[str, Callable[[bytes], Words]] = {
    target.__name__: target for target in (frames, messages, receiver, sender, envelopes, payloads)
}
