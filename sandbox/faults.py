"""Faults on request: what the provider does wrong, how often, and to which operation.

kind             what happens
error            500, nothing done
error_kept       500, nothing done, and 500 again for each repeat of the key, where the wire does so (Stripe)
error_kept_after does it, and answers 500 to this request and to each repeat of the key
error_after      does it, and answers 500
rate_limit       429, nothing done
conflict         409, nothing done: as if another request of this key were being served
refuse           422, nothing done: it never will be
delay            does it after ``delay_s``
timeout_after    does it, and never answers
drop             closes the connection, nothing done
drop_after       does it, and closes the connection
Faults are an instrument of tests and drills: they live in memory and are gone after a restart.
"""

from typing import Annotated, Literal

import msgspec

Operation = Literal["authorize", "capture", "void", "refund", "fetch", "begin"]
FaultKind = Literal[
    "error",
    "error_kept",
    "error_kept_after",
    "error_after",
    "rate_limit",
    "conflict",
    "refuse",
    "delay",
    "timeout_after",
    "drop",
    "drop_after",
]


class Fault(msgspec.Struct, kw_only=True):
    """``count``: how many requests it still hits."""

    operation: Operation
    kind: FaultKind
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


class Faults:
    """At most ``faults_max`` at a time; the oldest fault of an operation strikes first."""

    faults_max = 100

    def __init__(self) -> None:
        self.planned: list[Fault] = []

    def add(self, fault: Fault) -> bool:
        """False when there are too many."""
        if len(self.planned) >= self.faults_max:
            return False
        self.planned.append(fault)
        return True

    def strike(self, operation: Operation) -> Fault | None:
        """The fault that this request is to suffer."""
        fault = next((fault for fault in self.planned if fault.operation == operation), None)
        if fault is not None:
            fault.count -= 1
            if fault.count == 0:
                self.planned.remove(fault)
        return fault

    def clear(self) -> None:
        self.planned.clear()
