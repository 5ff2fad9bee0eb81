"""Makes the reference images for models/tests/preprocess.rs.

    pip install pillow torchvision
    python models/reference/preprocess.py

Writes models/tests/data/preprocess/: small synthetic source images, what PIL and torchvision make of them, and
manifest.json, which lists the pairs. Deterministic: the same versions write the same bytes.

Three kinds of cases:

* geometry: lossless sources, so that decoders cannot differ, resized and cropped by torchvision's functions on the
  PIL image, exactly as its `ImageClassification` preset does (which is asserted here, for the cases that are presets).
* decode: files of every supported kind, upright and in RGB. `tolerance` is the largest difference in grey levels that
  the test allows. It is 0, for JPEG too, whose decoder is PIL's; for lossy WebP it is what was measured between
  PIL's decoder (libwebp) and ours (image-webp), which round differently.
* scaled: JPEGs decoded at a fraction of their size by PIL's `draft`.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision.transforms import functional as F
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import InterpolationMode

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "preprocess"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODES = {
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
}


# Source images


def scene(width, height, noise=True):
    """A gradient (red), waves (green) and hard edges (blue), so that a shift by one pixel shows; noise in a corner."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 127.5 + 127.5 * np.sin(2 * np.pi * (x / 17 + y / 11))
    blue = np.where((x // 5 + y // 7) % 2 == 0, 230, 20) - 10 * y / max(height, 1)
    pixels = np.stack([red, green, blue], axis=-1)
    if noise:
        patch = pixels[: height // 2, : width // 2]
        patch += np.random.default_rng(width * 1000 + height).integers(-60, 61, patch.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def photo(width=33, height=21):
    """Smooth, as photographs mostly are, different in every corner, and never grey."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    pixels = np.stack(
        [
            40 + 180 * x / width + 20 * np.sin(y / 3),
            200 - 150 * y / height + 20 * np.cos(x / 4),
            90 + 60 * np.sin((x + 2 * y) / 9) + 40 * (x > width / 2) * (y > height / 2),
        ],
        axis=-1,
    )
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


# Geometry


def none():
    return {"mode": "none"}


def shorter(size):
    return {"mode": "shorter_side", "size": size}


def exact(width, height):
    return {"mode": "exact", "width": width, "height": height}


def crop(height, width):
    return {"height": height, "width": width}


# 40 and 35 are in the proportion of 256 and 224. Name: (width, height, resize, crop, filter).
SMALL = (shorter(40), crop(35, 35), "bilinear")
GEOMETRY = {
    "landscape": (120, 81, *SMALL),
    "portrait": (81, 120, *SMALL),
    "odd": (97, 63, *SMALL),
    "square": (100, 100, *SMALL),
    "smaller": (30, 23, *SMALL),
    "tiny": (5, 3, *SMALL),
    "one_pixel": (1, 1, *SMALL),
    "elongated_wide": (400, 7, *SMALL),
    "elongated_tall": (7, 400, *SMALL),
    "one_pixel_wide": (1, 300, *SMALL),
    # The resize is skipped; the crop's offset falls on a half, which rounds to even: 2.5 to 2, 3.5 to 4, 7.5 to 8.
    "half_rounds_down": (40, 40, shorter(40), crop(35, 35), "bilinear"),
    "half_rounds_up": (42, 40, shorter(40), crop(35, 35), "bilinear"),
    "half_in_both": (50, 40, shorter(40), crop(35, 35), "bilinear"),
    # The same after a resize, to 53x40: 9.
    "half_after_resize": (107, 80, shorter(40), crop(34, 34), "bilinear"),
    "crop_is_resize": (91, 64, shorter(35), crop(35, 35), "bilinear"),
    "crop_only": (97, 63, none(), crop(35, 40), "bilinear"),
    "crop_larger": (24, 19, none(), crop(35, 35), "bilinear"),
    "crop_wider": (60, 50, shorter(32), crop(28, 56), "bilinear"),
    "resize_only": (75, 50, shorter(32), None, "bilinear"),
    "exact": (90, 61, exact(40, 30), None, "bilinear"),
    "exact_one_axis": (90, 30, exact(40, 30), None, "bilinear"),
    "exact_then_crop": (90, 61, exact(45, 40), crop(35, 32), "bilinear"),
    "nothing": (23, 17, none(), None, "bilinear"),
    "bicubic": (120, 81, shorter(40), crop(35, 35), "bicubic"),
    "bicubic_enlarged": (20, 27, shorter(40), crop(35, 35), "bicubic"),
    "lanczos": (120, 81, shorter(40), crop(35, 35), "lanczos"),
    "lanczos_enlarged": (20, 27, shorter(40), crop(35, 35), "lanczos"),
    # At the size of the pretrained networks. 200x150 becomes 341x256, whose offset of 58.5 rounds to 58.
    "full_landscape": (300, 201, shorter(256), crop(224, 224), "bilinear"),
    "full_enlarged": (200, 150, shorter(256), crop(224, 224), "bilinear"),
    "full_exact": (256, 256, shorter(256), crop(224, 224), "bilinear"),
}


def torchvision_pixels(image, resize, window, filter):
    mode = MODES[filter]
    if resize["mode"] == "shorter_side":
        image = F.resize(image, [resize["size"]], interpolation=mode)
    elif resize["mode"] == "exact":
        image = F.resize(image, [resize["height"], resize["width"]], interpolation=mode)
    if window is not None:
        image = F.center_crop(image, [window["height"], window["width"]])
    return np.asarray(image)


def assert_is_preset(image, resize, window, filter, pixels):
    """The pixels are the preset's, before it normalises."""
    preset = ImageClassification(
        crop_size=window["height"], resize_size=resize["size"], interpolation=MODES[filter]
    )
    tensor = preset(image) * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    assert np.array_equal((tensor * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), pixels)


def geometry_cases():
    for name, (width, height, resize, window, filter) in GEOMETRY.items():
        # Noise does not compress, and the repository should stay small.
        image = Image.fromarray(scene(width, height, noise=not name.startswith("full")))
        pixels = torchvision_pixels(image, resize, window, filter)
        if resize["mode"] == "shorter_side" and window and window["height"] == window["width"]:
            assert_is_preset(image, resize, window, filter, pixels)
        source = f"geometry/source_{width}x{height}.png"
        save_png(source, np.asarray(image))
        save_png(f"geometry/{name}.expected.png", pixels)
        yield {
            "name": name,
            "source": source,
            "expected": f"geometry/{name}.expected.png",
            "preprocess": {
                "version": 1,
                "resize": resize,
                "filter": filter,
                "crop": window,
                "mean": MEAN,
                "std": STD,
            },
        }


# Decoding

# JPEG is decoded by the library that PIL has, so nothing differs; lossy WebP was measured to differ nowhere on these images.
WEBP_LOSSY = 0


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def upright_rgb(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(pixels, colour_type):
    """A 16-bit PNG, which PIL cannot write in most colour types."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels.reshape(height, -1))
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def decode_cases():
    rgb = photo()
    image = Image.fromarray(rgb)
    height, width = rgb.shape[:2]
    alpha = Image.fromarray(np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8))
    rgba = image.copy()
    rgba.putalpha(alpha)
    grey = image.convert("L")
    grey_alpha = Image.merge("LA", (grey, alpha))
    palette = image.quantize(32)
    small = Image.fromarray(photo(11, 5))

    def case(name, data, tolerance=0, expected=None):
        """What is expected is what PIL says, unless the caller knows better."""
        (OUT / "decode" / name).write_bytes(data)
        save_png(f"decode/{name}.expected.png", upright_rgb(data) if expected is None else expected)
        return {
            "name": name,
            "source": f"decode/{name}",
            "expected": f"decode/{name}.expected.png",
            "tolerance": tolerance,
        }

    for value in range(1, 9):
        options = {"quality": 95, "subsampling": "4:4:4", "exif": orientation(value)}
        yield case(f"orientation_{value}.jpg", encoded(image, "JPEG", **options))
    yield case("orientation_6.png", encoded(image, "PNG", exif=orientation(6)))
    yield case("orientation_6.webp", encoded(image, "WEBP", lossless=True, exif=orientation(6)))

    for name, subsampling in [("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")]:
        options = {"quality": 95, "subsampling": subsampling}
        yield case(f"colour_{name}.jpg", encoded(image, "JPEG", **options))
        yield case(f"small_{name}.jpg", encoded(small, "JPEG", **options))
        yield case(f"progressive_{name}.jpg", encoded(image, "JPEG", progressive=True, **options))
    yield case("grey.jpg", encoded(grey, "JPEG", quality=95))
    # PIL writes and reads CMYK inverted, as Photoshop does.
    inks = np.dstack([255 - rgb, np.asarray(alpha) // 2])
    yield case("cmyk.jpg", encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=95))

    yield case("rgb.png", encoded(image, "PNG"), expected=rgb)
    yield case("grey.png", encoded(grey, "PNG"))
    yield case("black_and_white.png", encoded(grey.convert("1"), "PNG"))
    # Alpha is dropped, not composited: the colours under it are the original's, even where it is zero.
    yield case("rgba.png", encoded(rgba, "PNG"), expected=rgb)
    yield case("grey_alpha.png", encoded(grey_alpha, "PNG"))
    yield case("palette.png", encoded(palette, "PNG"))
    yield case("palette_16_colours.png", encoded(image.quantize(16), "PNG", bits=4))
    yield case("palette_transparent.png", encoded(palette, "PNG", transparency=bytes(range(0, 256, 8))))
    yield case("rgb_transparent_colour.png", encoded(image, "PNG", transparency=tuple(map(int, rgb[0, 0]))), expected=rgb)

    # Of 16 bits the high byte is kept, as PIL does for colour. For 16-bit grey PIL's own conversion clips everything
    # above 255 to white, so the expected values are computed here, by the rule that holds for colour.
    wide = (photo().astype(np.uint16) << 8) | np.arange(width * height * 3).reshape(rgb.shape).astype(np.uint8)
    wide_alpha = np.asarray(alpha).astype(np.uint16)[..., None] * 257
    yield case("rgb_16.png", png16(wide, 2), expected=rgb)
    assert np.array_equal(upright_rgb(png16(wide, 2)), rgb)
    yield case("rgba_16.png", png16(np.concatenate([wide, wide_alpha], -1), 6), expected=rgb)
    assert np.array_equal(upright_rgb(png16(np.concatenate([wide, wide_alpha], -1), 6)), rgb)
    green = np.repeat(rgb[..., 1:2], 3, axis=-1)
    yield case("grey_16.png", png16(wide[..., 1:2], 0), expected=green)
    yield case("grey_alpha_16.png", png16(np.concatenate([wide[..., 1:2], wide_alpha], -1), 4), expected=green)

    yield case("lossless.webp", encoded(image, "WEBP", lossless=True), expected=rgb)
    yield case("lossless_alpha.webp", encoded(rgba, "WEBP", lossless=True, exact=True), expected=rgb)
    yield case("lossy.webp", encoded(image, "WEBP", quality=90), WEBP_LOSSY)
    yield case("lossy_alpha.webp", encoded(rgba, "WEBP", quality=90, exact=True), WEBP_LOSSY)
    turned = image.transpose(Image.Transpose.ROTATE_180)
    animation = {"save_all": True, "append_images": [turned], "duration": 100}
    yield case("animated.webp", encoded(image, "WEBP", lossless=True, **animation), expected=rgb)

    yield case("palette.gif", encoded(palette, "GIF"))
    yield case("interlaced.gif", encoded(palette, "GIF", interlace=1))
    yield case("transparent.gif", encoded(palette, "GIF", transparency=int(np.asarray(palette)[3, 3])))
    turned = palette.transpose(Image.Transpose.ROTATE_180)
    yield case("animated.gif", encoded(palette, "GIF", save_all=True, append_images=[turned], duration=100))

    yield case("rgb.bmp", encoded(image, "BMP"), expected=rgb)
    yield case("rgba.bmp", encoded(rgba, "BMP"), expected=rgb)
    yield case("grey.bmp", encoded(grey, "BMP"))
    yield case("palette.bmp", encoded(palette, "BMP"))
    yield case("black_and_white.bmp", encoded(grey.convert("1"), "BMP"))


# JPEGs at a fraction of their size


def scaled_cases():
    """What PIL's `draft` makes of pictures whose sides are no multiples of eight."""
    image = Image.fromarray(photo(261, 181))
    files = {
        "scaled_444.jpg": encoded(image, "JPEG", quality=90, subsampling="4:4:4"),
        "scaled_420.jpg": encoded(image, "JPEG", quality=90, subsampling="4:2:0", exif=orientation(6)),
        "scaled_422_progressive.jpg": encoded(image, "JPEG", quality=90, subsampling="4:2:2", progressive=True),
        "scaled_grey.jpg": encoded(image.convert("L"), "JPEG", quality=90),
    }
    for name, data in files.items():
        (OUT / "decode" / name).write_bytes(data)
        for shorter_side in [90, 45, 22]:
            opened = Image.open(io.BytesIO(data))
            opened.draft(opened.mode, (shorter_side, shorter_side))
            expected = f"decode/{name}.{shorter_side}.expected.png"
            save_png(expected, np.asarray(ImageOps.exif_transpose(opened).convert("RGB")))
            yield {"source": f"decode/{name}", "expected": expected, "shorter_side": shorter_side}


# Headers that declare far too much


def bombs():
    """A valid beginning of a file that declares an enormous image. A hundred bytes or less, but for the JPEG."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 6, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    yield "bomb.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;"
    yield "bomb.gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + frame
    # The screen is small, and only its frame is enormous.
    yield "frame_bomb.gif", b"GIF89a" + struct.pack("<HHB", 8, 8, 0x80) + b"\0" * 8 + frame
    header = struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "bomb.bmp", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header
    # Lossless, 16000x16000: within both side limits.
    bits = struct.pack("<BI", 0x2F, (15_999 << 14) | 15_999) + b"\0" * 8
    body = b"WEBPVP8L" + struct.pack("<I", len(bits)) + bits + b"\0" * (len(bits) % 2)
    yield "bomb.webp", b"RIFF" + struct.pack("<I", len(body)) + body
    jpeg = bytearray(encoded(Image.fromarray(photo(8, 8)), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65535, 65535)
    yield "bomb.jpg", bytes(jpeg)


def save_png(path, pixels):
    Image.fromarray(pixels).save(OUT / path, optimize=True)


def main():
    for folder in ["geometry", "decode", "bombs"]:
        (OUT / folder).mkdir(parents=True, exist_ok=True)
    for name, data in bombs():
        (OUT / "bombs" / name).write_bytes(data)
    manifest = {
        "made_by": "models/reference/preprocess.py",
        "versions": {"pillow": PIL.__version__, "torchvision": torchvision.__version__.split("+")[0]},
        "geometry": list(geometry_cases()),
        "decode": list(decode_cases()),
        "scaled": list(scaled_cases()),
    }
    (OUT / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    files = [path for path in OUT.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes")


if __name__ == "__main__":
    main()
