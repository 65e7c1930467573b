"""How every process of the bench runs that plays a service: as one, see ticketflow/runtime/service.py. Peers too."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

from ticketflow.runtime.garbage import look_seldom

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    look_seldom()
    return uvloop.run(main)
