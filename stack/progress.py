"""One line a step, with its seconds; a step that takes long shows that it is alive."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGN_OF_LIFE_S = 5


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Prints ``text`` at once, a dot every few seconds, and at the end how long it took."""
    begun = time.monotonic()
    done = threading.Event()
    print(f"  {text} ...", end="", flush=True)

    def signs_of_life() -> None:
        while not done.wait(SIGN_OF_LIFE_S):
            print(".", end="", flush=True)

    signs = threading.Thread(target=signs_of_life, daemon=True)
    signs.start()
    try:
        yield
    except BaseException:
        done.set()
        signs.join()
        print(" failed", flush=True)
        sys.stdout.flush()
        raise
    done.set()
    signs.join()
    print(f" {time.monotonic() - begun:.1f} s", flush=True)
