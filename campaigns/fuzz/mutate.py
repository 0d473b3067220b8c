"""Mutants of valid inputs: of any bytes, and of those whose structure is known."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes], bytes]

INTEGERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**20, 2**24, 2**28, 2**31 - 1, 2**31,
            2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**32, 2**62, 2**63, -2**63, 10**30, 0.5, -0.0,
    1e308, float("nan"), float("inf"), "", "0", "\0", "\x1b[2J", "a\nb", "../secret", "/etc/passwd",
    "é\u202e", "x" * 5000, [], [[]], {}, {"": 0}, [0] * 1000)
"""What a JSON value becomes."""


def damaged(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Damage bytes in 1 to 4 ways, without knowing what they mean."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_DAMAGES)(random, data, random.choice(others))
    return data


def _flip(random: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8)) if changed else 0):
        changed[_place(random, data)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, data: bytes, other: bytes) -> bytes:
    place, size = _place(random, data), random.choice((1, 2, 4, 8))
    order = random.choice(("little", "big"))
    value = random.choice(INTEGERS) % 2**(8 * size)
    return data[:place] + value.to_bytes(size, order) + data[place + size:]


def _varint(random: Random, data: bytes, other: bytes) -> bytes:
    value, encoded = random.choice(INTEGERS), bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    place = _place(random, data)
    return data[:place] + bytes([*encoded, value]) + data[place + random.choice((0, 1, 2)):]


def _truncate(random: Random, data: bytes, other: bytes) -> bytes:
    return data[:_place(random, data)]


def _cut(random: Random, data: bytes, other: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + data[place + random.choice((1, 2, 4, 8, 64, 1024)):]


def _repeat(random: Random, data: bytes, other: bytes) -> bytes:
    place, size = _place(random, data), random.choice((1, 4, 16, 256))
    return data[:place] + data[place:place + size] * random.choice((2, 3, 50)) + data[place:]


def _splice(random: Random, data: bytes, other: bytes) -> bytes:
    begin = _place(random, other)
    part = other[begin:begin + random.choice((4, 32, 512, len(other)))]
    place = _place(random, data)
    return data[:place] + part + data[place + random.choice((0, len(part))):]


def _noise(random: Random, data: bytes, other: bytes) -> bytes:
    place, part = _place(random, data), random.randbytes(random.choice((1, 8, 100)))
    return data[:place] + part + data[place + random.choice((0, len(part))):]


def _place(random: Random, data: bytes) -> int:
    """One in the whole, or near the start, where headers are."""
    return random.randrange(max(1, random.choice((len(data), min(len(data), 128)))))


_DAMAGES = (_flip, _flip, _overwrite, _overwrite, _varint, _truncate, _cut, _repeat, _splice,
            _noise)


def json_text(random: Random, value: Any) -> str:
    """Change something in a JSON value, and perhaps in its text."""
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _changed(random, value)
    text = json.dumps(value)
    kind = random.randrange(16)
    if kind == 0:
        depth = random.choice((10, 990, 20_000))
        text = text.replace("0", "[" * depth + "]" * depth, 1)
    elif kind == 1:
        text = text.replace("1", random.choice(("9" * 5000, "-0", "01", "1e999", "1E-9", "NaN")), 1)
    elif kind == 2 and text.startswith("{"):
        text = text[:-1] + "," + text[1:]       # every key twice
    return text


def _changed(random: Random, value: Any) -> Any:
    if isinstance(value, dict | list) and value and random.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key, copy = random.choice(keys), value.copy()
        kind = random.randrange(12)
        if kind == 0:
            del copy[key]
        elif kind == 1 and isinstance(copy, list):
            copy += copy[key:]
        elif kind == 2 and isinstance(copy, dict):
            copy[random.choice(("", "\x1b[2J", "a\nb", "x" * 3000))] = copy.pop(key)
        else:
            copy[key] = _changed(random, copy[key])
        return copy
    if isinstance(value, int) and random.random() < 0.5:
        return value + random.choice((-1, 1, 7, 2**16))
    return random.choice(ODD)


def safetensors(random: Random, data: bytes) -> bytes:
    """Change the header of a safetensors file, and mend half of the checksums of network files."""
    length = int.from_bytes(data[:8], "little")
    header, arrays = json.loads(data[8:8 + length]), data[8 + length:]
    ours = header.get("__metadata__", {}).get("sc_neurocore")
    if ours is None or random.random() < 0.3:
        text = json_text(random, header)
    else:
        changed = json_text(random, json.loads(ours))
        if random.random() < 0.7:
            changed = sealed(changed, header, arrays)
        text = json.dumps(header | {"__metadata__": {"sc_neurocore": changed}})
    encoded = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + arrays


def sealed(text: str, header: dict[str, Any], arrays: bytes) -> str:
    """Text with the checksum that ``docs/number-format.md`` describes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return text
    value.pop("crc32", None)
    crc = 0
    kinds = ("weights", "biases", "thresholds", "scales", "initial_membranes")
    names = [name for name in header if name != "__metadata__"]
    names.sort(key=lambda name: (int(name.partition(".")[0][5:]),
                                 kinds.index(name.partition(".")[2].rstrip("0123456789")), name))
    for name in names:
        crc = zlib.crc32(arrays[slice(*header[name]["data_offsets"])], crc)
    return json.dumps(value | {
        "crc32": zlib.crc32(json.dumps(value, sort_keys=True).encode(), crc)})


def zipped(inner: Mutation) -> Mutation:
    """Compress what ``inner`` makes of what was compressed."""
    return lambda random, data: gzip.compress(inner(random, gzip.decompress(data)), 1)
