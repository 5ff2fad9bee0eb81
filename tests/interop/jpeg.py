"""Baseline JPEGs (ITU-T T.81) with every sampling, order of scans and restart interval, which Pillow's encoder does not write."""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

# Fine enough that neighboring levels stay apart, coarse enough that most coefficients are zero.
STEP = 6
ZIGZAG = sorted(range(64), key=lambda at: (at // 8 + at % 8, at // 8 if (at // 8 + at % 8) % 2 else at % 8))
COSINES = np.array([[np.sqrt((1 if k == 0 else 2) / 8) * np.cos((2 * x + 1) * k * np.pi / 16) for x in range(8)] for k in range(8)])
Sampling = tuple[tuple[int, int], ...]


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments of a file up to its pixels."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        length = struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        yield jpeg[at + 1], jpeg[at + 4 : at + 2 + length]
        at += 2 + length


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def standard_tables() -> list[bytes]:
    """The Huffman tables of the standard's annex K for luminance, as Pillow writes them."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    return [content for marker, content in segments(buffer.getvalue()) if marker == 0xC4]


def codes(table: bytes) -> dict[int, tuple[int, int]]:
    """Symbol to code and its length (annex C)."""
    code, at, found = 0, 17, {}
    for length in range(1, 17):
        for _ in range(table[length]):
            found[table[at]] = (code, length)
            code, at = code + 1, at + 1
        code <<= 1
    return found


TABLES = standard_tables()
DC, AC = (codes(next(table for table in TABLES if table[0] == kind)) for kind in (0x00, 0x10))


class Bits:
    """Bits into bytes, with a zero behind each 0xff."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def put(self, number: int, length: int) -> None:
        if length:
            self.text.append(format(number, f"0{length}b"))

    def code(self, table: dict[int, tuple[int, int]], symbol: int, number: int = 0, length: int = 0) -> None:
        self.put(*table[symbol])
        self.put(number if number >= 0 else number + (1 << length) - 1, length)

    def take(self) -> bytes:
        text = "".join(self.text)
        self.text = []
        text += "1" * (-len(text) % 8)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")


def block(bits: Bits, coefficients: np.ndarray, before: int) -> int:
    """Writes a block, and returns its first coefficient."""
    first, *rest = (int(coefficients.flat[at]) for at in ZIGZAG)
    size = abs(first - before).bit_length()
    bits.code(DC, size, first - before, size)
    run = 0
    for number in rest:
        if number == 0:
            run += 1
            continue
        while run > 15:
            bits.code(AC, 0xF0)
            run -= 16
        size = abs(number).bit_length()
        bits.code(AC, run << 4 | size, number, size)
        run = 0
    if run:
        bits.code(AC, 0)
    return first


class Component:
    """One channel at its own resolution, as quantized blocks up to the edge of the last unit."""

    def __init__(self, plane: np.ndarray, factor: tuple[int, int], most: tuple[int, int]) -> None:
        height, width = plane.shape
        self.factor = factor
        size = [-(-side * own // all_) for side, own, all_ in zip((width, height), factor, most, strict=True)]
        small = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX), np.float64)
        units = [-(-side // (8 * all_)) for side, all_ in zip((width, height), most, strict=True)]
        self.columns, self.rows = (-(-side // 8) for side in size)
        across, down = (count * own for count, own in zip(units, factor, strict=True))
        padded = np.pad(small, ((0, 8 * down - size[1]), (0, 8 * across - size[0])), mode="edge") - 128
        blocks = padded.reshape(down, 8, across, 8).transpose(0, 2, 1, 3)
        self.blocks = np.rint(COSINES @ blocks @ COSINES.T / STEP).astype(int)


def units(components: list[Component], scan: tuple[int, ...]) -> Iterator[list[tuple[int, int, int]]]:
    """The blocks of each unit of a scan: component, row, column (A.2)."""
    if len(scan) == 1:
        alone = components[scan[0]]
        for row in range(alone.rows):
            for column in range(alone.columns):
                yield [(scan[0], row, column)]
        return
    first = components[scan[0]]
    down, across = (first.blocks.shape[axis] // first.factor[1 - axis] for axis in (0, 1))
    for y in range(down):
        for x in range(across):
            yield [
                (index, y * components[index].factor[1] + row, x * components[index].factor[0] + column)
                for index in scan
                for row in range(components[index].factor[1])
                for column in range(components[index].factor[0])
            ]


def encoded(pixels: np.ndarray, sampling: Sampling, scans: tuple[tuple[int, ...], ...], restart: int = 0) -> bytes:
    """A file of RGB pixels; each scan has the components of these numbers."""
    height, width = pixels.shape[:2]
    planes = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    most = (max(factor[0] for factor in sampling), max(factor[1] for factor in sampling))
    components = [Component(np.ascontiguousarray(planes[..., index]), factor, most) for index, factor in enumerate(sampling)]
    frame = struct.pack(">BHHB", 8, height, width, len(sampling))
    frame += b"".join(bytes([index + 1, across << 4 | down, 0]) for index, (across, down) in enumerate(sampling))
    file = b"\xff\xd8" + segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0") + segment(0xDB, bytes([0] + [STEP] * 64))
    file += segment(0xC0, frame) + b"".join(segment(0xC4, table) for table in TABLES)
    file += segment(0xDD, struct.pack(">H", restart)) if restart else b""
    for scan in scans:
        bits, before = Bits(), dict.fromkeys(scan, 0)
        file += segment(0xDA, bytes([len(scan)]) + b"".join(bytes([index + 1, 0]) for index in scan) + bytes([0, 63, 0]))
        for number, unit in enumerate(units(components, scan)):
            if restart and number and number % restart == 0:
                file += bits.take() + bytes([0xFF, 0xD0 + (number // restart - 1) % 8])
                before = dict.fromkeys(scan, 0)
            for index, row, column in unit:
                before[index] = block(bits, components[index].blocks[row, column], before[index])
        file += bits.take()
    return file + b"\xff\xd9"
