"""HTTP/2's header compression (RFC 7541), as much as a client needs that asks for no table.

Encoding uses literals only. Decoding is whole, except that the dynamic table has no room: the
client says so in its settings, so a server can only refer to the static one.
"""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

Headers = List[Tuple[str, str]]

#: RFC 7541, Appendix A; the first has index 1.
_STATIC: Tuple[Tuple[str, str], ...] = (
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    *((":status", code) for code in ("200", "204", "206", "304", "400", "404", "500")),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    *(
        (name, "")
        for name in (  # noqa: SIM905 - 45 quoted names would hide the order, which is what matters
            "accept-language accept-ranges accept access-control-allow-origin age allow authorization "
            "cache-control content-disposition content-encoding content-language content-length "
            "content-location content-range content-type cookie date etag expect expires from host if-match "
            "if-modified-since if-none-match if-range if-unmodified-since last-modified link location "
            "max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server "
            "set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
        ).split()
    ),
)

#: RFC 7541, Appendix B, as symbols by the length of their code: the code is canonical, so the
#: lengths are all of it. 256 is the end of the string.
_SYMBOLS_BY_LENGTH: Dict[int, Sequence[int]] = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: (92, 195, 208),
    20: (128, 130, 131, 162, 184, 194, 224, 226),
    21: (153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230),
    22: (
        129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170,
        173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233,
    ),
    23: (
        1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157,
        158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
    ),
    24: (9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237),
    25: (199, 207, 234, 235),
    26: (192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255),
    27: (203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254),
    28: (
        2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20,
        21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249,
    ),
    30: (10, 13, 22, 256),
}  # fmt: skip


def _canonical() -> Dict[Tuple[int, int], int]:
    codes: Dict[Tuple[int, int], int] = {}
    code = length = 0
    for size, symbols in _SYMBOLS_BY_LENGTH.items():
        code <<= size - length
        length = size
        for symbol in symbols:
            codes[size, code] = symbol
            code += 1
    return codes


_CODES = _canonical()


def encode(headers: Headers) -> bytes:
    """A header block of literals that no table remembers."""
    out = bytearray()
    for name, value in headers:
        out.append(0)
        for text in (name, value):
            data = text.encode("utf-8", "replace")
            out += _integer(len(data), 7) + data
    return bytes(out)


def decode(block: bytes) -> Headers:
    """The headers of a block. Raises ValueError if it is not one."""
    headers: Headers = []
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # indexed
                index, at = _read_integer(block, at, 7)
                headers.append(_static(index))
                continue
            if first & 0xE0 == 0x20:  # a new size for a table that is not there
                _, at = _read_integer(block, at, 5)
                continue
            index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            if index:
                name = _static(index)[0]
            else:
                name, at = _read_text(block, at)
            value, at = _read_text(block, at)
            headers.append((name, value))
    except IndexError:
        raise ValueError("the header block ends too early") from None
    return headers


def _static(index: int) -> Tuple[str, str]:
    if not 1 <= index <= len(_STATIC):
        raise ValueError("the header block refers to a table that is not there")
    return _STATIC[index - 1]


def _integer(value: int, prefix: int) -> bytes:
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([value])
    out = bytearray([limit])
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def _read_integer(block: bytes, at: int, prefix: int) -> Tuple[int, int]:
    limit = (1 << prefix) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 28:
            raise ValueError("an integer of the header block is too large")


def _read_text(block: bytes, at: int) -> Tuple[str, int]:
    compressed = bool(block[at] & 0x80)
    size, at = _read_integer(block, at, 7)
    data = block[at : at + size]
    if len(data) < size:
        raise ValueError("the header block ends too early")
    return (_unpack(data) if compressed else data).decode("utf-8", "replace"), at + size


def _unpack(data: bytes) -> bytes:
    out = bytearray()
    code = length = 0
    for byte in data:
        for bit in range(7, -1, -1):
            code = code << 1 | byte >> bit & 1
            length += 1
            symbol = _CODES.get((length, code))
            if symbol is not None:
                if symbol == 256:
                    raise ValueError("a string of the header block ends too early")
                out.append(symbol)
                code = length = 0
    if length > 7 or code != (1 << length) - 1:
        raise ValueError("a string of the header block is padded wrongly")
    return bytes(out)
