"""gzip (RFC 1952) of a body whose first part changes at each snapshot, and whose second, the long one, often does not.

Both are compressed apart and put together as one stream: the first ends with a full flush, after which nothing refers
back to it. One member, since some clients stop after the first.
"""

import struct
import zlib

LEVEL = 1  # of 677 kB: 83 kB in 2 ms; level 6 makes 72 kB of it, in ten times as long
_HEADER = bytes.fromhex("1f8b08000000000000ff")  # deflate, no time, no name, of no system in particular
_NO_HEADER = -15  # zlib's word for a bare deflate stream, with its largest window


def deflated(content: bytes) -> bytes:
    """The last part of a stream."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _NO_HEADER)
    return packer.compress(content) + packer.flush(zlib.Z_FINISH)


def gzip(first: bytes, rest: bytes, rest_deflated: bytes) -> bytes:
    """Of ``first + rest``."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _NO_HEADER)
    check = zlib.crc32(rest, zlib.crc32(first))
    return b"".join(
        (
            _HEADER,
            packer.compress(first),
            packer.flush(zlib.Z_FULL_FLUSH),
            rest_deflated,
            struct.pack("<II", check, (len(first) + len(rest)) & 0xFFFFFFFF),
        )
    )
