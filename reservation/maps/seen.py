"""A snapshot as it is sent: its bytes, plain and packed, made when somebody first asks for them and then kept."""

import asyncio
from hashlib import blake2b

from reservation.maps.packing import deflated, gzip

ETAG_BYTES = 12
INLINE_BYTES_MAX = 64 * 1024  # compressed in a fifth of a millisecond; what is longer must not hold up the loop


def etag_of(*content: bytes) -> str:
    """Weak: the time in the body differs where nothing else does, and gzip is the same to a reader. The same in every
    replica that sees the same."""
    digest = blake2b(digest_size=ETAG_BYTES)
    for part in content:
        digest.update(part)
    return f'W/"{digest.hexdigest()}"'


class Long:
    """The long part of a body; shared by the snapshots between which it did not change."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._packing: asyncio.Future[bytes] | None = None

    @property
    def bytes_held(self) -> int:
        return len(self.content) * 5 // 4  # packed it has an eighth at most of what JSON of seats has; some room

    async def packed(self) -> bytes:
        """Compressed once, however many ask at once."""
        if self._packing is None:
            if len(self.content) <= INLINE_BYTES_MAX:
                self._packing = asyncio.get_running_loop().create_future()
                self._packing.set_result(deflated(self.content))
            else:
                self._packing = asyncio.ensure_future(asyncio.to_thread(deflated, self.content))
        return await asyncio.shield(self._packing)


class Seen:
    """``first`` and ``rest`` are the JSON together; ``bytes_beside``: what else is kept for the next one."""

    def __init__(self, first: bytes, rest: Long, etag: str, bytes_beside: int = 0) -> None:
        self.etag = etag
        self.rest = rest
        self._first = first
        self._bytes_beside = bytes_beside
        self._plain: bytes | None = None
        self._gzip: bytes | None = None

    @property
    def bytes_held(self) -> int:
        """The most that it comes to, in bytes: all forms of it made."""
        return 2 * (len(self._first) + self.rest.bytes_held) + self._bytes_beside

    def plain(self) -> bytes:
        if self._plain is None:
            self._plain = self._first + self.rest.content
        return self._plain

    async def gzip(self) -> bytes:
        packed = await self.rest.packed()
        if self._gzip is None:
            self._gzip = gzip(self._first, self.rest.content, packed)
        return self._gzip
