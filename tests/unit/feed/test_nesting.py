"""The depth of a value, found without recursion, is the depth that recursion finds."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.feed.errors import RemoteProtocolError
from ticketflow.feed.nesting import check_nesting

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner))


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(st.lists(values, max_size=5), st.integers(0, 6))
def test_it_agrees_with_recursion(message: list[Any], levels_max: int) -> None:
    body = msgpack.packb(message)
    if depth(message) - 1 <= levels_max:
        check_nesting(body, levels_max)
    else:
        with pytest.raises(RemoteProtocolError, match="nested"):
            check_nesting(body, levels_max)


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(body: bytes) -> None:
    try:
        check_nesting(body, 4)
    except RemoteProtocolError:
        return
    msgpack.unpackb(body, strict_map_key=False, raw=True)


def test_a_container_that_promises_much_costs_nothing() -> None:
    with pytest.raises(RemoteProtocolError, match="ends inside"):
        check_nesting(b"\xdd\xff\xff\xff\xff\xc0", 4)
