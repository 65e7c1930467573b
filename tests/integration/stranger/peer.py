"""A peer of the feed, in both roles, written from docs/feed-protocol.md alone: `msgpack`, a socket, a clock.

It imports nothing of this project, and a test starts it where it could not. As a program:

    python peer.py send HOST:PORT[,HOST:PORT] STREAM COUNT   events 1..COUNT, `event <seq>` each, until all are durable
    python peer.py receive PORT FILE                         listens; FILE is its store: a line for each event applied

The numbers in brackets are the document's sections.
"""

import json
import os
import random
import select
import socket
import struct
import sys
import time
from typing import Any

import msgpack

SMALL, LARGE = 1020, 262144  # [3]
FRAME_TIMEOUT_S, WELCOME_TIMEOUT_S, HELLO_TIMEOUT_S, CONNECT_TIMEOUT_S = 5.0, 9.0, 3.0, 3.0  # [9]
ELSEWHERE = {"handshake_timeout", "too_many_sessions", "shutting_down", "unavailable", "internal"}  # [12]
STOP = {"stream_unknown", "not_allowed", "fenced", "sender_behind", "version_unsupported"}  # [11]
FRAME_EVENTS, FRAME_TARGET = 1024, 32 * 1024  # [4]


class Ended(Exception):
    """The session is over: `args[0]` is a code of ours, of theirs, or a word."""


class Connection:
    """Frames out, frames in, with the deadlines of [9]."""

    def __init__(self, sock: socket.socket, allowed: int) -> None:
        self.sock, self.allowed = sock, allowed
        self.buffer = b""
        self.begun_at: float | None = None  # of the frame that is not complete
        self.heard_at = self.pinged_at = time.monotonic()
        self.ping_s = self.idle_s = float("inf")  # until WELCOME
        self.number = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, *message: Any) -> None:
        body = msgpack.packb(message)
        self.sock.settimeout(self.idle_s if self.idle_s < 60 else 60)
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def refuse(self, code: str, reason: str) -> Ended:
        """Say REFUSE, read on for a moment so that it can be read [10]; the error to raise."""
        try:
            self.say("refuse", code, reason[:200], None)
            self.sock.shutdown(socket.SHUT_WR)
            self.sock.settimeout(1.0)
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        return Ended(code)

    def hear(self, until: float) -> list[Any] | None:
        """The next message, PING answered and PONG passed over; None when nothing came before ``until``."""
        while True:
            message = self.frame()
            if message is None:
                if not self.wait(until):
                    return None
                continue
            kind = message[0]
            if kind == "ping":
                self.say("pong", message[1])
            elif kind == "refuse":
                raise Ended(message[1], message[2], message[3])
            elif kind != "pong":
                return message

    def wait(self, until: float) -> bool:
        """Read once; False when ``until`` came first."""
        while True:
            now = time.monotonic()
            if self.begun_at is not None and now >= self.begun_at + FRAME_TIMEOUT_S:
                raise self.refuse("frame_timeout", "a frame was begun and not completed")
            if now >= self.heard_at + self.idle_s:
                raise self.refuse("idle_timeout", "nothing was heard")
            if now >= self.pinged_at + self.ping_s:
                self.pinged_at, self.number = now, self.number + 1
                self.say("ping", self.number)
            if now >= until:
                return False
            next_at = min(until, self.pinged_at + self.ping_s, self.heard_at + self.idle_s, now + 1)
            if select.select([self.sock], [], [], max(0.0, next_at - now))[0]:
                data = self.sock.recv(65536)
                if not data:
                    raise Ended("closed")
                if self.begun_at is None:
                    self.begun_at = time.monotonic()
                self.buffer += data
                return True

    def frame(self) -> list[Any] | None:
        """A whole message out of the buffer [3]."""
        if len(self.buffer) < 4:
            return None
        (length,) = struct.unpack(">I", self.buffer[:4])
        if length == 0:
            raise self.refuse("bad_frame", "a frame of length 0")
        if length > self.allowed:
            raise self.refuse("frame_too_large", f"{length} bytes")
        if len(self.buffer) < 4 + length:
            return None
        body, self.buffer = self.buffer[4 : 4 + length], self.buffer[4 + length :]
        self.heard_at = time.monotonic()
        self.begun_at = self.heard_at if self.buffer else None
        try:
            message = msgpack.unpackb(body, strict_map_key=False)
        except Exception:
            raise self.refuse("bad_message", "no msgpack") from None
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise self.refuse("bad_message", "no array that begins with a name")
        return message


# -- the sender


def send(addresses: list[tuple[str, int]], stream: str, events: list[bytes], patience_s: float = 60.0) -> int:
    """Deliver ``events``, numbered from 1, whatever ends sessions; returns how many sessions that took."""
    deadline, sessions, at, pause_s, acked = time.monotonic() + patience_s, 0, 0, 0.05, 0
    while acked < len(events):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{acked} of {len(events)} are acknowledged")
        sessions += 1
        before = acked
        try:
            acked = one_session(addresses[at % len(addresses)], stream, events, acked)
        except Progress as progress:
            acked = max(acked, progress.acked)
            code = progress.why
            if code in STOP:
                raise Ended(code) from None
            at += 1
            if code not in ELSEWHERE or at % len(addresses) == 0:  # [12]
                pause_s = 0.05 if acked > before else min(pause_s * 2, 2.0)
                time.sleep(pause_s * random.uniform(0.5, 1.0))
    return sessions


class Progress(Exception):
    def __init__(self, acked: int, why: str) -> None:
        super().__init__(acked, why)
        self.acked, self.why = acked, why


def one_session(address: tuple[str, int], stream: str, events: list[bytes], known: int) -> int:
    acked = known
    try:
        with socket.create_connection(address, timeout=CONNECT_TIMEOUT_S) as sock:
            line = Connection(sock, SMALL)
            line.say("hello", 1, stream, 1, 1, len(events), "stranger")
            welcome = line.hear(time.monotonic() + WELCOME_TIMEOUT_S)
            if welcome is None:
                raise line.refuse("handshake_timeout", "no WELCOME")
            if welcome[0] != "welcome" or len(welcome) < 9:
                raise line.refuse("out_of_turn", f"{welcome[0]} instead of WELCOME")
            _, version, _epoch, watermark, window_events, window_bytes, ping_ms, idle_ms, _name = welcome[:9]
            if version != 1:
                raise line.refuse("version_unsupported", "1 is spoken")
            line.ping_s, line.idle_s = ping_ms / 1000, idle_ms / 1000
            if watermark is not None and watermark > len(events):
                line.say("goodbye", "the receiver has more than was ever sent")
                raise Ended("sender_behind")  # [8]
            acked = known if watermark is None else watermark  # behind what was acknowledged: a rewind [8]
            sent, open_frames = acked, list[tuple[int, int, int]]()
            while acked < len(events):
                while sent < len(events):
                    frame = next_frame(events, sent, open_frames, window_events, window_bytes)
                    if not frame:
                        break
                    line.say("events", sent + 1, frame)
                    sent += len(frame)
                    open_frames.append((sent, len(frame), sum(map(len, frame))))
                message = line.hear(time.monotonic() + 1)
                if message is None:
                    continue
                if message[0] == "ack":
                    if not acked <= message[1] <= len(events):
                        raise line.refuse("bad_ack", f"{message[1]} after {acked}")
                    acked = message[1]
                    open_frames = [frame_ for frame_ in open_frames if frame_[0] > acked]
                elif message[0] == "goodbye":
                    raise Ended("goodbye")
                else:
                    raise line.refuse("out_of_turn", str(message[0])[:50])
            line.say("goodbye", "done")
            while line.hear(time.monotonic() + 2) is not None:
                pass  # the receiver closes [10]
    except (Ended, OSError) as error:
        if acked < len(events):
            raise Progress(acked, str(error.args[0]) if isinstance(error, Ended) else "lost") from error
    return acked


def next_frame(
    events: list[bytes], sent: int, open_frames: list[tuple[int, int, int]], events_max: int, bytes_max: int
) -> list[bytes]:
    """What the window has room for [6], one frame of it: up to 1024 events or about 32 KiB [4]."""
    room = events_max - sum(frame[1] for frame in open_frames)
    room_bytes = bytes_max - sum(frame[2] for frame in open_frames)
    frame: list[bytes] = []
    size = 0
    for event in events[sent : sent + min(room, FRAME_EVENTS)]:
        if size + len(event) > room_bytes or (frame and size + len(event) > FRAME_TARGET):
            break
        frame.append(event)
        size += len(event)
    return frame


# -- the receiver


class Store:
    """A file with a line for each event that was applied, and that is how it is durable."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a+")  # noqa: SIM115 - it is open as long as the process lives
        self.file.seek(0)
        text = self.file.read()
        whole = text.rfind("\n") + 1
        self.file.truncate(whole)  # killed while it wrote: the rest of that line it has not acknowledged
        lines = [json.loads(line) for line in text[:whole].splitlines()]
        self.epoch: int | None = lines[0]["epoch"] if lines else None
        self.watermark = lines[-1].get("seq", 0) if lines else 0
        self.fence = max((line.get("fence", 0) for line in lines), default=0)

    def adopt(self, epoch: int, fence: int) -> None:
        if self.epoch is None or fence > self.fence:
            self.epoch, self.fence = (epoch if self.epoch is None else self.epoch), fence
            self._write({"epoch": self.epoch, "fence": fence, "seq": self.watermark})

    def apply(self, first_seq: int, bodies: list[bytes]) -> None:
        for seq, body in enumerate(bodies, first_seq):
            if seq > self.watermark:  # what it has it drops [7]
                self._write({"seq": seq, "body": body.decode("latin-1")})
                self.watermark = seq
        self.file.flush()
        os.fsync(self.file.fileno())

    def _write(self, line: dict[str, Any]) -> None:
        self.file.write(json.dumps(line) + "\n")


WINDOW_EVENTS, WINDOW_BYTES, PING_MS, IDLE_MS = 64, 262144, 2000, 6000


def receive(port: int, path: str) -> None:
    """Serve one session after another, for ever."""
    store = Store(path)
    with socket.create_server(("127.0.0.1", port)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            sock, _ = listening.accept()
            with sock:
                try:
                    serve(Connection(sock, SMALL), store)
                except (Ended, OSError) as error:
                    print("ended:", error, file=sys.stderr, flush=True)


def serve(line: Connection, store: Store) -> None:
    hello = line.hear(time.monotonic() + HELLO_TIMEOUT_S)
    if hello is None:
        raise line.refuse("handshake_timeout", "no HELLO")
    if hello[0] != "hello" or len(hello) < 7:
        raise line.refuse("out_of_turn", f"{hello[0]} instead of HELLO")
    _, version, _stream, epoch, fence, last_seq, _name = hello[:7]  # what is more is not ours to read [13]
    if fence < store.fence:
        raise line.refuse("fenced", f"{fence} is older than {store.fence}")
    store.adopt(epoch, fence)
    fits = epoch == store.epoch and last_seq >= store.watermark
    welcome = (store.epoch, store.watermark, WINDOW_EVENTS, WINDOW_BYTES, PING_MS, IDLE_MS, "stranger")
    line.say("welcome", min(version, 1), *welcome, {"a field": ["of tomorrow"]})
    line.allowed, line.ping_s, line.idle_s = LARGE, PING_MS / 1000, IDLE_MS / 1000
    expected: int | None = None
    while True:
        message = line.hear(time.monotonic() + 1)
        if message is None:
            continue
        if message[0] == "goodbye":
            return
        if message[0] != "events" or len(message) != 3:
            raise line.refuse("out_of_turn", str(message[0])[:50])
        _, first_seq, bodies = message
        if not fits:
            raise line.refuse("sender_behind", f"here it is epoch {store.epoch}, seq {store.watermark}")
        if first_seq > (store.watermark + 1 if expected is None else expected):
            raise line.refuse("gap", f"expected at most seq {expected or store.watermark + 1}, got {first_seq}")
        if len(bodies) > WINDOW_EVENTS or sum(map(len, bodies)) > WINDOW_BYTES:
            raise line.refuse("window_exceeded", f"{len(bodies)} events")
        store.apply(first_seq, bodies)
        expected = max(expected or 0, first_seq + len(bodies))
        line.say("ack", store.watermark)


def main(command: str, where: str, what: str, *more: str) -> None:
    if command == "receive":
        receive(int(where), what)
    addresses = [(host, int(port)) for host, port in (one.rsplit(":", 1) for one in where.split(","))]
    count = int(more[0])
    print(send(addresses, what, [b"event %d" % seq * 20 for seq in range(1, count + 1)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
