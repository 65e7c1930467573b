"""How deep a msgpack value nests, found without recursion and without building anything.

Only needed where a message may carry elements this version does not know (HELLO, WELCOME): every other
element is read by its type, which no deeper value can have.
"""

from ticketflow.feed.errors import Code, RemoteProtocolError

# Head byte -> width of the length that follows, for what has one.
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
_FIXED |= {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def check_nesting(body: bytes | bytearray | memoryview, levels_max: int) -> None:
    """Pass if ``body`` is msgpack without ext types that nests at most ``levels_max`` deep inside its outer array.

    Raises RemoteProtocolError (bad_message). Takes time linear in the length of ``body``.
    """
    open_items = [1]  # how many values each open level still expects
    at = 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        at, items = _step(body, at)
        if items is not None:
            open_items.append(items)
            if len(open_items) > levels_max + 2:  # the pseudo-level, and the message's own array
                raise RemoteProtocolError(Code.BAD_MESSAGE, f"nested deeper than {levels_max}")
    if at != len(body):
        raise RemoteProtocolError(Code.BAD_MESSAGE, "bytes after the message")


def _step(body: bytes | bytearray | memoryview, at: int) -> tuple[int, int | None]:
    """Read one head at ``at``: where the next head stands, and the number of items if it opens a container."""
    if at >= len(body):
        raise RemoteProtocolError(Code.BAD_MESSAGE, "the message ends inside a value")
    head = body[at]
    at += 1
    if head <= 0x7F or head >= 0xE0:
        return at, None
    if head <= 0x8F:
        return at, (head & 0x0F) * 2
    if head <= 0x9F:
        return at, head & 0x0F
    if head <= 0xBF:
        return at + (head & 0x1F), None
    if head in _FIXED:
        return at + _FIXED[head], None
    if head in _SIZED:
        width = _SIZED[head]
        return at + width + int.from_bytes(body[at : at + width], "big"), None
    if head in _CONTAINERS:
        width, each = _CONTAINERS[head]
        return at + width, int.from_bytes(body[at : at + width], "big") * each
    raise RemoteProtocolError(Code.BAD_MESSAGE, f"msgpack type 0x{head:02x} is not used here")
