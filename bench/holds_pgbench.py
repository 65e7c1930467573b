"""pgbench as the ceiling: the same statement, one request at a time, without anything above it.

The whole transaction is one statement in autocommit, prepared once, which is the least that it can cost.
"""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

from bench.holds_hall import Hall
from stack import tools

CLIENTS = 32
THREADS = 2
HEAD_BYTES = 310  # of a hold.placed: what is known before the decision
FINGERPRINT = "00112233" * 8

_HOLD = """
SELECT * FROM decide_and_tell(ARRAY[ROW(
    gen_random_uuid(), '{event_id}', 'buyer-0190000000000000', gen_random_uuid()::text, '\\x{fingerprint}',
    ARRAY['{prefix}' || lpad(to_hex(:a::integer), 12, '0'),
          '{prefix}' || lpad(to_hex(:b::integer), 12, '0')]::uuid[],
    '[]', 'refund')::hold_request], false, 'reservation', ARRAY[gen_random_uuid()], ARRAY['\\x{head}'::bytea]);
"""
# Every seat once, in pairs, in a random order.
_PAIRS = "\\set k :client_id + {clients} * :i\n\\set i :i + 1\n" + "".join(
    f"\\set {name} permute(2 * :k + {n}, {{seats}}, {{seed}})\n" for n, name in enumerate("ab")
)
# Two different seats, any two.
_ANY = "\\set a random(0, {seats} - 1)\n\\set b (:a + random(1, {seats} - 1)) % {seats}\n"


class Pgbench(NamedTuple):
    """``decided``: transactions, of requests that were placed or refused."""

    decided: int
    per_s: float


async def run(
    dsn: str, folder: Path, hall: Hall, *, seed: int, seconds: int = 0, each: int = 0, fresh: bool = True
) -> Pgbench:
    """For ``seconds``, or ``each`` transactions a client. ``fresh``: nobody asks for a seat that was asked for.

    Raises AssertionError when one transaction failed.
    """
    numbers = _PAIRS if fresh else _ANY
    script = folder / "hold.sql"
    script.write_text(
        numbers.format(clients=CLIENTS, seats=hall.seats, seed=seed)
        + _HOLD.format(
            event_id=hall.event_id, prefix=hall.seat_prefix, fingerprint=FINGERPRINT, head="ab" * HEAD_BYTES
        ).replace("\n", " ")
        + "\n"
    )
    process = await asyncio.create_subprocess_exec(
        tools.postgres("pgbench"),
        *("--no-vacuum", "--protocol=prepared", f"--file={script}", "--define=i=0", f"--random-seed={seed}"),
        *(f"--client={CLIENTS}", f"--jobs={THREADS}"),
        *((f"--time={seconds}",) if seconds else (f"--transactions={each}",)),
        dsn,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = (text.decode() for text in await process.communicate())
    decided = re.search(r"transactions actually processed: (\d+)", said)
    per_s = re.search(r"tps = ([\d.]+)", said)
    assert process.returncode == 0, f"pgbench failed: {said} {complained}"
    assert decided is not None
    assert per_s is not None
    return Pgbench(int(decided[1]), float(per_s[1]))
