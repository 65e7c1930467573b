"""``python3 -m drills.nemesis.delay --queue N --delay-ms 200 --jitter-ms 50 --loss 0.1 --seed 1``: a slow link.

Holds the packets that rules send to queue N of this network namespace. Says `ready` and goes on until SIGTERM; then
everything it holds goes on at once.
"""

import argparse
import select
import signal
import time
from types import FrameType

from drills.nemesis.delays import Delays, flow_of
from drills.nemesis.nfqueue import NfQueue


def main() -> None:
    parser = argparse.ArgumentParser(description="A slow link.")
    parser.add_argument("--queue", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jitter-ms", type=float, default=0)
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    queue = NfQueue(options.queue)
    print("ready", flush=True)
    delays = Delays(options.delay_ms / 1000, options.jitter_ms / 1000, options.loss, options.seed)
    try:
        hold(queue, delays)
    finally:
        for packet_id in delays.all():
            queue.accept(packet_id)
        queue.close()


def hold(queue: NfQueue, delays: Delays) -> None:
    """For ever."""
    while True:
        now = time.monotonic()
        for packet_id in delays.due(now):
            queue.accept(packet_id)
        next_at = delays.next_at
        ready, _, _ = select.select([queue.socket], [], [], None if next_at is None else max(0.0, next_at - now))
        if ready:
            now = time.monotonic()
            for packet in queue.receive():
                if not delays.take(packet.id, flow_of(packet.head), now):
                    queue.drop(packet.id)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
