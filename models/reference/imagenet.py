"""ImageNet's thousand classes in the order of everybody's logits: WordNet's id as timm lists it, and torchvision's name.
Writes models/src/labels/imagenet.txt, which is compiled in.

pip install torch torchvision timm; python models/reference/imagenet.py
"""

import pathlib

import timm
from torchvision.models._meta import _IMAGENET_CATEGORIES

SOURCE = pathlib.Path(timm.__file__).parent / "data" / "_info" / "imagenet_synsets.txt"
TARGET = pathlib.Path(__file__).parent.parent / "src" / "labels" / "imagenet.txt"

synsets = SOURCE.read_text().split()
assert len(synsets) == len(_IMAGENET_CATEGORIES) == 1000
TARGET.write_text("".join(f"{synset} {name}\n" for synset, name in zip(synsets, _IMAGENET_CATEGORIES)))
