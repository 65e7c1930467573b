"""What a MariaDB server answers to a statement, read out of the bytes as they come. No I/O.

aiomysql waits twice for each packet and parses the description of every column anew: of a row with ten columns that
is 24 waits, and ten times the work of the row. Here an answer is read in one go, and descriptions are known by their
bytes. Values come out as aiomysql gives them.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pymysql.err
from pymysql.constants import FIELD_TYPE, SERVER_STATUS
from pymysql.converters import convert_datetime, decoders, through
from pymysql.protocol import FieldDescriptorPacket

KNOWN_MAX = 1024  # descriptions of results; each statement has one
PACKET_BYTES_MAX = 0xFFFFFF  # one that is full goes on in the next
BINARY = 63  # a "character set"
_OK, _NULL, _EOF, _ERROR = 0x00, 0xFB, 0xFE, 0xFF
_EOF_BYTES_MAX = 9

Value = Callable[[bytes], Any]
Columns = tuple[tuple[str, ...], tuple[Value | None, ...]]

_known: dict[tuple[bytes, ...], Columns] = {}


class OutOfStep(Exception):
    """The bytes are no answer to what was asked."""


class Result(NamedTuple):
    """Of one statement. ``affected``: rows; of a question how many it has."""

    affected: int
    insert_id: int
    names: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()


Check = Callable[[Result], None]


class Answer:
    """``results`` are complete when ``take`` says so: one for each statement that was carried out. ``server_status``:
    as of the last of them; None before."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.server_status: int | None = None
        self.warnings = 0
        self._number = 1
        self._parts = b""  # of a packet that goes on
        self._columns_left = -1  # -1: the next packet is a result's first
        self._described: list[bytes] = []
        self._columns: Columns | None = None
        self._rows: list[tuple[Any, ...]] = []

    def take(self, buffer: bytearray) -> bool:
        """Takes whole packets off the buffer; whether the answer is complete. Raises pymysql's errors, which are the
        server's word and complete it too, and OutOfStep."""
        at, size = 0, len(buffer)
        try:
            while size - at >= 4:
                length = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
                begin, end = at + 4, at + 4 + length
                if end > size:
                    return False
                if buffer[at + 3] != self._number:
                    raise OutOfStep(f"packet {buffer[at + 3]} came for {self._number}")
                self._number = (self._number + 1) & 0xFF
                at = end
                packet = bytes(buffer[begin:end])
                if length == PACKET_BYTES_MAX:
                    self._parts += packet
                    continue
                if self._parts:
                    packet, self._parts = self._parts + packet, b""
                if self._complete(packet):
                    return True
            return False
        except (IndexError, UnicodeDecodeError, AssertionError) as error:
            raise OutOfStep(f"{type(error).__name__}: {error}") from error
        finally:
            del buffer[:at]

    def _complete(self, packet: bytes) -> bool:
        head = packet[0]
        if head == _ERROR:
            pymysql.err.raise_mysql_exception(packet)
        if self._columns is not None:
            if head == _EOF and len(packet) < _EOF_BYTES_MAX:
                rows = tuple(self._rows)
                return self._ended(Result(len(rows), 0, self._columns[0], rows), packet, status_at=3, warnings_at=1)
            self._rows.append(_row(packet, self._columns[1]))
            return False
        if self._columns_left > 0:
            self._described.append(packet)
            self._columns_left -= 1
        elif self._columns_left == 0:  # the end of the descriptions
            self._columns = _columns(tuple(self._described))
        elif head == _OK:
            affected, at = _number(packet, 1)
            insert_id, at = _number(packet, at)
            return self._ended(Result(affected, insert_id), packet, status_at=at, warnings_at=at + 2)
        elif head == _NULL:
            raise OutOfStep("the server asks for a file")
        else:
            self._columns_left, _ = _number(packet, 0)
        return False

    def _ended(self, result: Result, packet: bytes, *, status_at: int, warnings_at: int) -> bool:
        self.results.append(result)
        status = packet[status_at] | packet[status_at + 1] << 8
        self.server_status = status
        self.warnings += packet[warnings_at] | packet[warnings_at + 1] << 8
        self._columns_left, self._described, self._columns, self._rows = -1, [], None, []
        return not status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS


def _number(packet: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    first = packet[at]
    if first < _NULL:
        return first, at + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(packet[at + 1 : at + 1 + width], "little"), at + 1 + width


def _row(packet: bytes, values: tuple[Value | None, ...]) -> tuple[Any, ...]:
    row: list[Any] = []
    at = 0
    for value in values:
        length = packet[at]
        at += 1
        if length >= _NULL:
            if length == _NULL:
                row.append(None)
                continue
            length, at = _number(packet, at - 1)
        raw = packet[at : at + length]
        at += length
        row.append(raw if value is None else value(raw))
    return tuple(row)


def _columns(described: tuple[bytes, ...]) -> Columns:
    found = _known.get(described)
    if found is None:
        fields: list[Any] = [FieldDescriptorPacket(packet, "utf8") for packet in described]
        found = tuple(str(field.name) for field in fields), tuple(_value_of(field) for field in fields)
        if len(_known) >= KNOWN_MAX:
            _known.clear()
        _known[described] = found
    return found


def _value_of(field: Any) -> Value | None:
    """How a value of the column is made of its bytes; None: it is those."""
    kind = field.type_code
    if kind in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        return _moment
    if kind in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        return lambda raw: Decimal(raw.decode())
    convert = decoders.get(kind, through)
    if convert in (int, float):
        return convert
    if convert is not through:
        return lambda raw: convert(raw.decode())
    return bytes.decode if field.charsetnr != BINARY or kind == FIELD_TYPE.JSON else None


def _moment(raw: bytes) -> Any:
    text = raw.decode()
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # what is no moment, as 0000-00-00
        return convert_datetime(text)
