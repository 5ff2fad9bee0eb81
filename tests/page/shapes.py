"""Pictures of shapes for the documentation's screenshots, made here and free of anybody's rights.

    python tests/page/shapes.py FOLDER [COUNT]

writes FOLDER/{circle,heart,moon,square,star,triangle}/*.jpg, COUNT of each. Some shapes are blurred or half hidden, so that a model
is not always sure.
"""

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
LARGER = 3


def polygon(center, radius, angles, radii):
    return [
        (center[0] + radius * scale * math.cos(angle), center[1] + radius * scale * math.sin(angle))
        for angle, scale in zip(angles, radii)
    ]


def shape(draw, name, center, radius, turn, color, ground):
    x, y = center
    if name == "circle":
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
    elif name == "moon":
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
        dx, dy = 0.5 * radius * math.cos(turn), 0.5 * radius * math.sin(turn)
        draw.ellipse([x + dx - radius * 0.85, y + dy - radius * 0.85, x + dx + radius * 0.85, y + dy + radius * 0.85], fill=ground)
    elif name == "heart":
        steps = [2 * math.pi * i / 120 for i in range(120)]
        points = [(16 * math.sin(s) ** 3, -(13 * math.cos(s) - 5 * math.cos(2 * s) - 2 * math.cos(3 * s) - math.cos(4 * s))) for s in steps]
        small = 0.3 * math.sin(turn)
        rotated = [(px * math.cos(small) - py * math.sin(small), px * math.sin(small) + py * math.cos(small)) for px, py in points]
        draw.polygon([(x + px * radius / 17, y + py * radius / 17) for px, py in rotated], fill=color)
    else:
        corners = {"triangle": 3, "square": 4, "star": 10}[name]
        angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
        radii = [1 if name != "star" or i % 2 == 0 else 0.45 for i in range(corners)]
        draw.polygon(polygon(center, radius, angles, radii), fill=color)


def picture(name, rng):
    size = SIDE * LARGER
    ground = tuple(rng.randint(190, 245) for _ in range(3))
    color = tuple(rng.randint(20, 180) for _ in range(3))
    image = Image.new("RGB", (size, size), ground)
    draw = ImageDraw.Draw(image)
    radius = rng.uniform(0.18, 0.38) * size
    center = [rng.uniform(radius, size - radius) for _ in range(2)]
    shape(draw, name, center, radius, rng.uniform(0, 2 * math.pi), color, ground)
    if rng.random() < 0.25:
        # A bar over a part of it.
        at, width = rng.uniform(0.2, 0.7) * size, rng.uniform(0.1, 0.22) * size
        box = [at, 0, at + width, size] if rng.random() < 0.5 else [0, at, size, at + width]
        draw.rectangle(box, fill=tuple(rng.randint(60, 200) for _ in range(3)))
    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image.filter(ImageFilter.GaussianBlur(rng.choice([0, 0, 0, 2, 7])))


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40
    rng = random.Random(7)
    for name in ["circle", "heart", "moon", "square", "star", "triangle"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(name, rng).save(folder / name / f"{name}-{number:03}.jpg", quality=88)


main()
