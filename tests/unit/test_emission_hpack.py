"""Header compression: every string that a server may send, and nothing that is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracepoints.emission.hpack import decode, encode

reference = pytest.importorskip(
    "hpack", reason="the independent implementation comes with the sink's packages"
)

names = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=30)
values = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FFF), max_size=80)
headers = st.lists(st.tuples(names, values), max_size=8)


@given(headers, st.booleans())
def test_what_another_implementation_encodes_is_read(pairs, huffman):
    """Literals, Huffman codes and the static table of an independent encoder come out as they went in."""
    encoder = reference.Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([*pairs, (":status", "200"), ("grpc-status", "12")], huffman=huffman)
    assert decode(block) == [*pairs, (":status", "200"), ("grpc-status", "12")]


@given(headers)
def test_another_implementation_reads_what_is_encoded(pairs):
    """An independent decoder understands our blocks."""
    assert [tuple(pair) for pair in reference.Decoder().decode(encode(pairs))] == pairs


def test_every_byte_has_its_huffman_code():
    """All 256 bytes survive the independent encoder's Huffman code."""
    from hpack.huffman import HuffmanEncoder
    from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

    from otel_tracepoints.emission.hpack import _unpack

    everything = bytes(range(256))
    assert _unpack(HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(everything)) == everything


@given(st.binary(max_size=60))
def test_garbage_is_refused_and_nothing_worse(block):
    """Any bytes either decode or raise ValueError."""
    try:
        assert isinstance(decode(block), list)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "block", [b"\x80", b"\xbe", b"\x00\x05ab", b"\x00\x81\x00\x00", b"\x7f\xff\xff\xff\xff\xff\xff"]
)
def test_a_broken_block_is_a_value_error(block):
    """Index 0, an index past the table, a short string, wrong padding, an endless integer."""
    with pytest.raises(ValueError):
        decode(block)
