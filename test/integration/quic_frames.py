"""Frames of QUIC (RFC 9000 section 19) with numbers and octets at random, for packets that are
otherwise as they should be: what a client can do that has shaken hands and means ill."""

import struct

# The fields of each frame type: v a number, d octets with their length before, 8 octets, and so on.
_FIELDS = {
    0x00: "", 0x01: "", 0x04: "vvv", 0x05: "vv", 0x06: "vd", 0x07: "d", 0x10: "v", 0x11: "vv",
    0x12: "v", 0x13: "v", 0x14: "v", 0x15: "vv", 0x16: "v", 0x17: "v", 0x19: "v", 0x1a: "8",
    0x1b: "8", 0x1c: "vvd", 0x1d: "vd", 0x1e: "", 0x30: "r", 0x31: "d",
    0x02: "a", 0x03: "avvv", 0x18: "vvcR",
    # STREAM: offset, length and end are bits of the type.
    **{0x08 | bits: "v" + "v" * bool(bits & 4) + ("d" if bits & 2 else "r") for bits in range(8)},
}
_EDGES = [0, 1, 2, 3, 4, 5, 7, 8, 12, 63, 64, 255, 1199, 16383, 65535, 65537, (1 << 30) - 1, 1 << 30,
          (1 << 60) - 1, 1 << 60, (1 << 62) - 1]


def number(value):
    """A variable-length integer (section 16)."""
    for size, (limit, code) in enumerate([(6, "!B"), (14, "!H"), (30, "!I"), (62, "!Q")]):
        if value < 1 << limit:
            return struct.pack(code, value | size << limit)
    raise ValueError(value)


def _field(chance, kind):
    octets = chance.randbytes(chance.randrange(40))
    if kind == "v":
        return number(chance.choice(_EDGES))
    if kind == "d":
        return number(chance.choice([len(octets), len(octets), chance.choice(_EDGES)])) + octets
    if kind == "r":
        return octets
    if kind == "8":
        return chance.randbytes(8)
    if kind == "R":
        return chance.randbytes(16)
    if kind == "c":  # a connection ID with its length
        size = chance.choice([0, 1, 4, 8, 8, 8, 20, 21])
        return bytes([size]) + chance.randbytes(size)
    ranges = chance.choice([0, 0, 1, 3])  # "a": of acknowledgements
    return b"".join(number(chance.choice(_EDGES)) for _ in range(2)) + number(ranges) + \
        b"".join(number(chance.choice(_EDGES)) for _ in range(1 + 2 * ranges))


def frames(chance):
    """Some frames one after the other, mostly known ones."""
    made = b""
    for _ in range(chance.choice([1, 1, 2, 3, 6])):
        kind = chance.choice([*_FIELDS, 0x21])
        made += number(kind) + b"".join(_field(chance, c) for c in _FIELDS.get(kind, "r"))
    return made[:1100].ljust(4, b"\0")
