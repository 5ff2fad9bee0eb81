"""What torchvision and PIL make of two small images, for the test in trainer/src/augment/tests.rs.

Each case is an operation as graft names it, the image it begins with, and the pixels that it ends with.

pip install torch torchvision pillow; python trainer/reference/augment.py
"""

import json
import math
import pathlib

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms import functional as F

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "augment.json"
FILL = [124, 116, 104]
BINS = [0, 9, 10, 21, 30]


def images():
    """Noise of every colour, 11x8; a smooth picture without the darkest and brightest levels, 10x10."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 11, 3), dtype=np.uint8)
    y, x = np.mgrid[0:10, 0:10]
    channels = [40 + 15 * x + y, 90 + 12 * np.abs(y - 5) + (x * y) % 7, 30 + 7 * x + 9 * y]
    smooth = np.stack(channels, axis=-1).astype(np.uint8)
    return {"noise": Image.fromarray(noise), "smooth": Image.fromarray(smooth)}


def encoded(image):
    pixels = np.asarray(image)
    return {
        "width": image.width,
        "height": image.height,
        "pixels": pixels.tobytes().hex(),
    }


def affine(image, translate=(0, 0), shear=(0.0, 0.0), center=None):
    return F.affine(image, 0.0, list(translate), 1.0, list(shear), InterpolationMode.NEAREST, FILL, center)


def degrees(slope):
    return math.degrees(math.atan(slope))


NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
OPERATIONS = {
    "brightness": (F.adjust_brightness, [0.0, 0.35, 1.0, 1.6, 2.5]),
    "contrast": (F.adjust_contrast, [0.0, 0.35, 1.0, 1.6, 2.5]),
    "saturation": (F.adjust_saturation, [0.0, 0.35, 1.0, 1.6, 2.5]),
    "sharpness": (F.adjust_sharpness, [0.0, 0.35, 1.0, 1.9]),
    "hue": (F.adjust_hue, [-0.5, -0.13, 0.0, 0.02, 0.31, 0.5]),
    "posterize": (lambda image, bits: F.posterize(image, int(bits)), [1, 3, 4, 8]),
    "solarize": (F.solarize, [0.0, 127.5, 128.0, 255.0]),
    "autocontrast": (lambda image, _: F.autocontrast(image), [0.0]),
    "equalize": (lambda image, _: F.equalize(image), [0.0]),
    "rotate-nearest": (lambda image, a: F.rotate(image, a, NEAREST, fill=FILL), [-30.0, 0.0, 7.5, 90.0, 180.0, 270.0]),
    "rotate-bilinear": (lambda image, a: F.rotate(image, a, BILINEAR, fill=FILL), [-30.0, 7.5, 45.0]),
    "shear-x": (lambda image, s: affine(image, shear=(degrees(s), 0.0), center=[0, 0]), [-0.3, 0.09, 0.3]),
    "shear-y": (lambda image, s: affine(image, shear=(0.0, degrees(s)), center=[0, 0]), [-0.3, 0.09, 0.3]),
    "translate-x": (lambda image, t: affine(image, translate=(int(t), 0)), [-4.7, 3.2]),
    "translate-y": (lambda image, t: affine(image, translate=(0, int(t))), [-4.7, 3.2]),
    "mirrored": (lambda image, _: F.hflip(image), [0.0]),
    "upside-down": (lambda image, _: F.vflip(image), [0.0]),
    # Window of 6x5 pixels, 3 from the left and 2 from the top, to 8x8.
    "resized-crop": (lambda image, _: F.resized_crop(image, 2, 3, 5, 6, [8, 8], BILINEAR), [0.0]),
    # A border of 4, then the old size from 1 to the right and 6 down.
    "padded-crop": (lambda image, _: F.crop(F.pad(image, 4, fill=tuple(FILL)), 6, 1, image.height, image.width), [0.0]),
}


def main():
    cases = []
    for name, image in images().items():
        for operation, (apply, parameters) in OPERATIONS.items():
            for parameter in parameters:
                result = encoded(apply(image, parameter))
                cases.append({"image": name, "operation": operation, "parameter": parameter, "result": result})
    space = RandAugment()._augmentation_space(31, (48, 64))
    magnitudes = {
        name: {bin: float(values[bin] if values.ndim > 0 else values) for bin in BINS}
        for name, (values, _) in space.items()
    }
    text = {"images": {name: encoded(image) for name, image in images().items()}, "magnitudes": magnitudes}
    lines = ",\n".join(json.dumps(case) for case in cases)
    body = json.dumps(text)[:-1] + ', "cases": [\n' + lines + "\n]}\n"
    TARGET.write_text(body)


main()
