"""The databases' clock."""

from tests.simulation.rows import EPOCH_US
from tests.simulation.session import Session


def clock_of(conn: Session) -> float:
    """Seconds of simulated time."""
    return conn.database.loop.time()


def clock_us(conn: Session) -> int:
    return EPOCH_US + int(clock_of(conn) * 1_000_000)
