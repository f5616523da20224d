"""What the tables of a code object say (Python 3.8 to 3.11): lines, and ranges of exception handlers."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

#: Line, last line, column, last column; each may be missing.
Position = Tuple[Optional[int], Optional[int], Optional[int], Optional[int]]

#: Line events go by blocks of the line table, not by line numbers.
BLOCKS = sys.version_info < (3, 10)


class Lines:
    """The line of every offset, as the interpreter's tracing reads the line table."""

    def __init__(self, code: CodeType) -> None:
        self._lines: Dict[int, Optional[int]] = {}
        self._begins: Set[int] = set()
        self._begin_of: Dict[int, int] = {}
        if BLOCKS:
            self._read_blocks(code)
            return
        table: Any = code.co_lines()  # type: ignore[attr-defined, unused-ignore]
        for start, end, line in table:
            for offset in range(start, end, 2):
                self._lines[offset] = line

    def line(self, offset: int) -> Optional[int]:
        """Of the instruction at this offset."""
        return self._lines.get(offset)

    def begins_block(self, offset: int) -> bool:
        """A block begins at this offset."""
        return offset in self._begins

    def block(self, offset: int) -> int:
        """Where the block of this offset begins."""
        return self._begin_of.get(offset, 0)

    def _read_blocks(self, code: CodeType) -> None:
        # A block begins where the table changes the line; entries that do not change it do not
        # begin one.
        table = code.co_lnotab
        line, offset, begin = code.co_firstlineno, 0, 0
        self._begins.add(0)
        steps = [(table[at], table[at + 1]) for at in range(0, len(table), 2)]
        for length, change in [*steps, (len(code.co_code), 0)]:
            for each in range(offset, offset + length, 2):
                self._lines[each] = line
                self._begin_of[each] = begin
            offset += length
            if change:
                line += change - 256 if change >= 128 else change
                begin = offset
                self._begins.add(begin)


def line_table(first: int, lengths: Iterable[int], lines: Iterable[Optional[int]]) -> bytes:
    """A line table in 3.10's form (its ``Objects/lnotab_notes.txt``).

    Args:
        first: Line of the code object itself.
        lengths: Bytes of each instruction.
        lines: Line of each, or None.
    """
    table = bytearray()
    line_now = first
    for length, line in zip(lengths, lines):
        change = 0 if line is None else line - line_now
        line_now += change
        while not -127 <= change <= 127:
            step = 127 if change > 0 else -127
            table += bytes((0, step & 255))
            change -= step
        for start in range(0, length, 254):
            table += bytes((min(254, length - start), 128 if line is None else change & 255))
            change = 0
    return bytes(table)


def location_table(first: int, lengths: Iterable[int], positions: Iterable[Position]) -> bytes:
    """A table of positions in 3.11's form (its ``Objects/locations.md``).

    Args:
        first: Line of the code object itself.
        lengths: Bytes of each instruction, its inline caches included.
        positions: Of each.
    """
    table = bytearray()
    line_now = first
    for length, position in zip(lengths, positions):
        line = position[0]
        for start in range(0, length, 16):  # An entry holds eight code units at most.
            units = min(length - start, 16) // 2
            form, rest = _location(position, 0 if line is None else line - line_now)
            table.append(128 | form << 3 | units - 1)
            table += rest
            line_now = line_now if line is None else line
    return bytes(table)


def _location(position: Position, change: int) -> Tuple[int, bytes]:
    """Form and content of an entry. No byte of the content may have its highest bit set."""
    line, last_line, column, last_column = position
    if line is None:
        return 15, b""
    if last_line is None or column is None or last_column is None:
        return 13, bytes(_signed(change))
    width = last_column - column
    if last_line == line and column < 128 and last_column < 128 and 0 <= change <= 2:
        if not change and column < 80 and 0 <= width < 16:
            return column >> 3, bytes(((column & 7) << 4 | width,))
        return 10 + change, bytes((column, last_column))
    content = (*_signed(change), *_bits(last_line - line), *_bits(column + 1), *_bits(last_column + 1))
    return 14, bytes(content)


def _signed(number: int) -> Iterator[int]:
    return _bits(-number << 1 | 1 if number < 0 else number << 1)


def _bits(number: int) -> Iterator[int]:
    """Six bits a byte, the lowest first; 64 says "more"."""
    while number >= 64:
        yield 64 | number & 63
        number >>= 6
    yield number


def exception_ranges(code: CodeType) -> List[Tuple[int, int, int, bool]]:
    """(start, end, target, notes where from) of each entry of 3.11's exception table; offsets in bytes."""
    table = getattr(code, "co_exceptiontable", b"")
    ranges: List[Tuple[int, int, int, bool]] = []
    reader = iter(table)
    while True:
        numbers = []
        for _ in range(4):
            number = _varint(reader)
            if number is None:
                return ranges
            numbers.append(number)
        start, length, target, depth = numbers
        ranges.append((start * 2, (start + length) * 2, target * 2, bool(depth & 1)))


def _varint(reader: Any) -> Optional[int]:
    # Objects/exception_handling_notes.txt: six bits a byte, the highest first; 64 says "more".
    byte = next(reader, None)
    if byte is None:
        return None
    number: int = byte & 63
    while byte & 64:
        byte = next(reader)
        number = number << 6 | byte & 63
    return number
