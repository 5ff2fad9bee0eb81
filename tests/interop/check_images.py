"""Whether graft decodes odd pictures to the pixels that PIL decodes.

    cargo build --package models --example decode
    python tests/interop/check_images.py target/debug/examples/decode

Makes some hundreds of small files, most of them valid and none of them usual: every sampling of chroma, scans in every
order, restart markers, arithmetic coding, CMYK, palettes, depths, interlacing, transparency, turned pictures, missing
ends, frames beside the screen. Each must decode to PIL's pixels, or be refused where PIL refuses, or stand in
`EXCEPTIONS` with the reason. Baseline JPEGs that PIL cannot write are made by `jpeg.py`; progressive ones of unusual
samplings and arithmetic coding by `cjpeg` (Debian's libjpeg-turbo-progs). Without it those files are left out, and the
summary says so.
"""

import io
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import jpeg

# Where graft means to differ, and by how many gray levels it may: None for any number.
EXCEPTIONS = {
    "gray_16.png": (None, "PIL clips 16-bit gray to 255; graft keeps the high byte, as PIL does for color"),
    "bgr_555.bmp": (1, "five bits become eight by another rounding"),
    "bgr_555_plain.bmp": (1, "five bits become eight by another rounding"),
    "bgr_565.bmp": (1, "five and six bits become eight by another rounding"),
    "text_checksum.png": (None, "PIL refuses a picture for a damaged comment; graft reads it"),
}
SIZES = ((64, 48), (45, 35), (17, 9))
SAMPLINGS = ("1x1", "2x1", "1x2", "2x2", "4x1", "4x2", "1x4", "2x4")


def picture(width: int, height: int) -> np.ndarray:
    """Gradients, waves, an edge and noise: something for every way of going wrong."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = np.where((x // 6 + y // 4) % 2 == 0, 220, 30)
    pixels = np.stack([red, green, blue], axis=-1) + rng.normal(0, 10, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tool(name: str, *arguments: str, data: bytes) -> bytes | None:
    done = subprocess.run([name, *arguments], input=data, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def exif(kind: int, value: int, order: str = "<") -> bytes:
    """An EXIF block of one entry, the orientation, as this type of number (TIFF 6.0: 1 byte, 3 short, 4 long)."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    number = {1: struct.pack(order + "Bxxx", value), 3: struct.pack(order + "Hxx", value), 4: struct.pack(order + "I", value)}
    return mark + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + number[kind] + bytes(4)


def segment(jpeg: bytes, *contents: bytes) -> bytes:
    """A JPEG with application segments behind its first marker."""
    return jpeg[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(c) + 2) + c for c in contents) + jpeg[2:]


def jpegs() -> Iterator[tuple[str, bytes]]:
    image = Image.fromarray(picture(64, 48))
    plain = encoded(image, "JPEG", quality=90)
    progressive = encoded(image, "JPEG", quality=90, progressive=True)
    cmyk = image.convert("CMYK")
    yield "cmyk.jpg", encoded(cmyk, "JPEG", quality=92)
    yield "cmyk_progressive.jpg", encoded(cmyk, "JPEG", quality=92, progressive=True)
    yield "worst.jpg", encoded(image, "JPEG", quality=1)
    yield "best.jpg", encoded(image, "JPEG", quality=100, subsampling=0)
    for blocks in (1, 3, 100):
        yield f"restart_{blocks}.jpg", encoded(image, "JPEG", restart_marker_blocks=blocks)
    for name, data in (("baseline", plain), ("progressive", progressive)):
        yield f"{name}_no_end.jpg", data[:-2]
        yield f"{name}_zeros_for_an_end.jpg", data[:-2] + bytes(64)
        yield f"{name}_zeros_behind.jpg", data + bytes(64)
        yield f"{name}_half.jpg", data[: len(data) // 2]
        yield f"{name}_half_with_end.jpg", data[: len(data) // 2] + b"\xff\xd9"
        yield f"{name}_text_behind.jpg", data + b"text " * 50
    for value in range(10):
        yield f"turned_{value}.jpg", segment(plain, b"Exif\0\0" + exif(3, value))
    yield "turned_long.jpg", segment(plain, b"Exif\0\0" + exif(4, 6))
    yield "turned_byte.jpg", segment(plain, b"Exif\0\0" + exif(1, 6))
    yield "turned_big_endian.jpg", segment(plain, b"Exif\0\0" + exif(3, 8, ">"))
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="6"/>'
    yield "turned_by_xmp.jpg", segment(plain, xmp)
    yield "turned_by_xmp_and_exif.jpg", segment(plain, xmp, b"Exif\0\0" + exif(3, 3))
    yield "exif_garbage.jpg", segment(plain, b"Exif\0\0" + b"\xff" * 20)


def baseline() -> Iterator[tuple[str, bytes]]:
    """Samplings, scans and restart markers in every combination. With a scan for each component some decoders give solid green."""
    ones = "1x1,1x1"
    odd = ("1x1,2x2,2x2", "2x2,2x1,2x1", "2x2,1x2,1x2", "2x1,1x1,2x1", "2x2,2x2,1x1", f"3x1,{ones}", f"3x3,{ones}")
    orders = (((0, 1, 2),), ((0,), (1,), (2,)), ((2,), (0,), (1,)), ((0,), (1, 2)))
    for sampling in (*(f"{first},{ones}" for first in SAMPLINGS), *odd):
        factors = tuple(tuple(int(side) for side in factor.split("x")) for factor in sampling.split(","))
        for order in orders:
            for size in SIZES:
                for restart in (0, 1, 3):
                    scans = "+".join("".join(map(str, scan)) for scan in order)
                    name = f"sampled_{sampling.replace(',', '_')}_scans_{scans}_{size[0]}x{size[1]}_restart_{restart}.jpg"
                    yield name, jpeg.encoded(picture(*size), factors, order, restart)


def made_by_tools() -> Iterator[tuple[str, bytes | None]]:
    def cjpeg(size: tuple[int, int], *arguments: str) -> bytes | None:
        return tool("cjpeg", "-quality", "90", *arguments, data=encoded(Image.fromarray(picture(*size)), "PPM"))

    for sampling in SAMPLINGS:
        chosen = ("-sample", f"{sampling},1x1,1x1")
        for size in SIZES:
            for kind in (("-progressive",), ("-progressive", "-restart", "3B"), ("-arithmetic",)):
                name = "_".join(["sampled", sampling, f"{size[0]}x{size[1]}", *(word.strip("-") for word in kind)])
                yield f"{name}.jpg", cjpeg(size, *chosen, *kind)
    yield "arithmetic_progressive.jpg", cjpeg(SIZES[0], "-arithmetic", "-progressive")
    yield "rgb.jpg", cjpeg(SIZES[0], "-rgb")
    yield "gray_sampled.jpg", cjpeg(SIZES[0], "-grayscale", "-sample", "2x2")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: bytes, size: tuple[int, int], depth: int, color: int, extra: bytes = b"", interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlace)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def unfiltered(samples: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in samples)


def interlaced(pixels: np.ndarray) -> bytes:
    """The seven passes of Adam7 (PNG specification, 8.1)."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = (pixels[y::dy, x::dx] for x, y, dx, dy in passes)
    return b"".join(unfiltered(part) for part in parts if part.size)


def pngs() -> Iterator[tuple[str, bytes]]:
    pixels = picture(64, 48)
    image, rows, size = Image.fromarray(pixels), unfiltered(pixels), (64, 48)
    plain = png(rows, size, 8, 2)
    alpha = np.dstack([pixels, np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))])
    deep = (pixels.astype(np.uint32) * 257).astype(">u2")
    for part in ((64, 48), (1, 1), (3, 5), (9, 2), (5, 1), (1, 9)):
        small = picture(*part)
        yield f"interlaced_{part[0]}x{part[1]}.png", png(interlaced(small), part, 8, 2, interlace=1)
    yield "interlaced_16.png", png(interlaced(deep), size, 16, 2, interlace=1)
    yield "rgb_16.png", png(unfiltered(deep), size, 16, 2)
    yield "gray_16.png", png(unfiltered(deep[..., 0]), size, 16, 0)
    yield "rgba.png", encoded(Image.fromarray(alpha), "PNG")
    yield "gray_alpha.png", encoded(Image.fromarray(alpha).convert("LA"), "PNG")
    for bits in (1, 2, 4):
        levels = (np.asarray(image.convert("L")) >> (8 - bits)).astype(np.uint8)
        packed = sum(levels[:, k :: 8 // bits] << (8 - bits * (k + 1)) for k in range(8 // bits)).astype(np.uint8)
        yield f"gray_{bits}.png", png(unfiltered(packed), size, bits, 0)
    palette = image.quantize(64)
    yield "palette.png", encoded(palette, "PNG")
    yield "palette_transparent.png", encoded(palette, "PNG", transparency=bytes(range(64)))
    yield "gray_transparent.png", encoded(image.convert("L"), "PNG", transparency=128)
    yield "rgb_transparent.png", encoded(image, "PNG", transparency=tuple(int(v) for v in pixels[3, 3]))
    yield "animated.png", encoded(image, "PNG", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    yield "turned.png", png(rows, size, 8, 2, extra=chunk(b"eXIf", exif(3, 6, ">")))
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="8"/>'
    yield "turned_by_xmp.png", png(rows, size, 8, 2, extra=chunk(b"iTXt", xmp))
    yield "profile_garbage.png", png(rows, size, 8, 2, extra=chunk(b"iCCP", b"x\0\0garbage"))
    yield "gamma.png", png(rows, size, 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 45455)))
    yield "text_checksum.png", png(rows, size, 8, 2, extra=struct.pack(">I", 4) + b"tEXta\0bc" + bytes(4))
    yield "text_behind.png", plain + b"text " * 50
    yield "no_end.png", plain[:-12]
    yield "half_an_end.png", plain[:-6]
    yield "no_checksum.png", plain[:-16]
    yield "half.png", plain[: len(plain) // 2]
    stream = zlib.compress(rows)
    wrong = chunk(b"IDAT", stream[:-4] + bytes(4))
    yield "stream_checksum.png", plain[:33] + wrong + chunk(b"IEND", b"")
    two = chunk(b"IDAT", stream[:100]) + chunk(b"IDAT", stream[100:])
    yield "two_parts.png", plain[:33] + two + chunk(b"IEND", b"")
    yield "second_part_missing.png", plain[:33] + chunk(b"IDAT", stream[:100]) + chunk(b"IEND", b"")


def gifs() -> Iterator[tuple[str, bytes]]:
    image = Image.fromarray(picture(64, 48)).quantize(32)
    plain = bytearray(encoded(image, "GIF"))
    place = plain.index(b"\x2c")
    yield "plain.gif", bytes(plain)
    yield "transparent.gif", encoded(image, "GIF", transparency=3)
    yield "interlaced.gif", encoded(image, "GIF", interlace=1)
    turned = image.transpose(Image.Transpose.ROTATE_180)
    yield "animated.gif", encoded(image, "GIF", save_all=True, append_images=[turned], duration=100)
    for name, screen, corner in (
        ("large_screen", (80, 60), (0, 0)),
        ("offset", (80, 60), (9, 5)),
        ("small_screen", (20, 10), (0, 0)),
        ("beyond_the_screen", (64, 48), (7, 3)),
    ):
        other = bytearray(plain)
        other[6:10] = struct.pack("<HH", *screen)
        other[place + 1 : place + 5] = struct.pack("<HH", *corner)
        yield f"{name}.gif", bytes(other)
    seen = bytearray(encoded(image, "GIF", transparency=3))
    seen[6:10] = struct.pack("<HH", 80, 60)
    yield "large_screen_transparent.gif", bytes(seen)
    yield "no_end.gif", bytes(plain[:-1])
    yield "half.gif", bytes(plain[: len(plain) // 2])


def others() -> Iterator[tuple[str, bytes]]:
    pixels = picture(64, 48)
    image = Image.fromarray(pixels)
    alpha = Image.fromarray(np.dstack([pixels, np.full((48, 64), 90, np.uint8)]))
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "lossy.webp", encoded(image, "WEBP", quality=85)
    yield "lossy_alpha.webp", encoded(alpha, "WEBP", quality=85, exact=True)
    yield "lossless.webp", encoded(image, "WEBP", lossless=True)
    yield "lossless_alpha.webp", encoded(alpha, "WEBP", lossless=True, exact=True)
    yield "turned.webp", encoded(image, "WEBP", lossless=True, exif=turned)
    yield "half.webp", encoded(image, "WEBP", lossless=True)[:300]
    yield "rgb.bmp", encoded(image, "BMP")
    yield "rgba.bmp", encoded(alpha, "BMP")
    yield "palette.bmp", encoded(image.quantize(200), "BMP")
    yield "gray.bmp", encoded(image.convert("L"), "BMP")
    yield "black_and_white.bmp", encoded(image.convert("1"), "BMP")
    for name, masks in (("bgr_555", (0x7C00, 0x3E0, 0x1F)), ("bgr_565", (0xF800, 0x7E0, 0x1F))):
        words = np.zeros((48, 64), "<u2")
        for channel, mask in enumerate(masks):
            words |= (pixels[..., channel].astype("<u2") * mask // 255 & mask).astype("<u2")
        yield f"{name}.bmp", bmp(words[::-1].tobytes(), 16, 3, masks=struct.pack("<III", *masks))
        if name == "bgr_555":
            yield "bgr_555_plain.bmp", bmp(words[::-1].tobytes(), 16, 0)
    yield "from_the_top.bmp", bmp(pixels[..., ::-1].tobytes(), 24, 0, height=-48)
    yield "four_bytes.bmp", bmp(np.dstack([pixels[::-1, :, ::-1], np.zeros((48, 64), np.uint8)]).tobytes(), 32, 0)
    palette = image.quantize(200)
    colors = np.pad(np.array(palette.getpalette()[:600], np.uint8).reshape(-1, 3)[:, ::-1], ((0, 0), (0, 1))).tobytes()
    yield "run_lengths.bmp", bmp(run_lengths(np.asarray(palette)[::-1]), 8, 1, colors=colors)
    yield "two_pictures.jpg", encoded(image, "MPO", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    yield "tall.png", encoded(Image.new("RGB", (1, 5000), (200, 10, 10)), "PNG")
    yield "wide.png", encoded(Image.new("RGB", (9000, 10), (10, 10, 200)), "PNG")
    yield "line_ends.png", encoded(image, "PNG").replace(b"\r\n", b"\n")


def bmp(data: bytes, bits: int, kind: int, *, height: int = 48, masks: bytes = b"", colors: bytes = b"") -> bytes:
    """A bitmap of 64 pixels a row (BITMAPINFOHEADER)."""
    head = struct.pack("<IiiHHIIiiII", 40, 64, height, 1, bits, kind, len(data), 0, 0, len(colors) // 4, 0) + masks + colors
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, 14 + len(head)) + head + data


def run_lengths(indices: np.ndarray) -> bytes:
    """BI_RLE8: pairs of a count and an index, a zero and a zero behind each row, a zero and a one at the end."""
    rows = []
    for row in indices:
        starts = [0, *(np.flatnonzero(np.diff(row)) + 1), len(row)]
        pairs = zip(starts[:-1], starts[1:], strict=True)
        rows.append(b"".join(bytes([end - start, row[start]]) for start, end in pairs) + b"\0\0")
    return b"".join(rows) + b"\0\1"


def by_pil(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path) as image:
            image.load()
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception:  # noqa: BLE001 - PIL refuses in a dozen ways
        return None


def by_graft(path: Path) -> np.ndarray | None:
    if not path.exists():
        return None
    data = path.read_bytes()
    width, height = struct.unpack("<II", data[:8])
    return np.frombuffer(data[8:], np.uint8).reshape(height, width, 3)


def fault(name: str, expected: np.ndarray | None, found: np.ndarray | None) -> str | None:
    if name in EXCEPTIONS:
        allowed, _ = EXCEPTIONS[name]
        if allowed is None:
            return None if found is not None else "refused"
    else:
        allowed = 0
    if expected is None or found is None:
        if expected is None and found is None:
            return None
        return "PIL refuses it, graft does not" if expected is None else "refused"
    if expected.shape != found.shape:
        return f"{found.shape}, in PIL {expected.shape}"
    difference = np.abs(expected.astype(int) - found).max()
    return f"{difference} gray levels from PIL" if difference > allowed else None


def main() -> None:
    decode = sys.argv[1]
    warnings.simplefilter("ignore")
    tools = shutil.which("cjpeg") is not None
    sources = [jpegs(), baseline(), pngs(), gifs(), others(), *([made_by_tools()] if tools else [])]
    with tempfile.TemporaryDirectory() as folder:
        images, pixels = Path(folder, "images"), Path(folder, "pixels")
        images.mkdir()
        pixels.mkdir()
        files = {name: data for source in sources for name, data in source if data is not None}
        for name, data in files.items():
            (images / name).write_bytes(data)
        done = subprocess.run(
            [decode, pixels, *(images / name for name in files)], check=True, capture_output=True, text=True
        )
        refusals = dict(line.split("\t", 1) for line in done.stdout.splitlines())
        faults = []
        for name in files:
            if said := fault(name, by_pil(images / name), by_graft(pixels / f"{name}.rgb")):
                faults.append(f"{name}: {said} {refusals.get(name, '')}")
    if faults:
        sys.exit("FAILED\n" + "\n".join(faults))
    left_out = "" if tools else "; those that `cjpeg` makes were left out, since there is none"
    print(f"{len(files)} odd pictures decode as in PIL, {len(refusals)} of them are refused{left_out}")


if __name__ == "__main__":
    main()
