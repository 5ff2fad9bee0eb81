"""Small networks with every kind of input and of first operators that exporters write, each with the scores of its outputs, or
with the words of its refusal. For `check_model_ends.py`."""

import numpy as np
import onnx
from onnx import TensorProto as T

from model_ends import CLASSES, HALF_TOLERANCE, NODE, OPAQUE, SIDE, WEIGHTS, WIDTH, Case, X, Y, body, end, model, softmax, value


def inputs() -> dict[str, Case]:
    plain = lambda out: softmax(out["y"])
    bytes_last = value("image", T.UINT8, ["n", SIDE, SIDE, 3])
    scaled = [end("Cast", ["image"], "a", to=T.FLOAT), NODE("Div", ["a", "m"], ["b"]), end("Transpose", ["b"], "x", perm=[0, 3, 1, 2])]
    planes = [end("Cast", ["image"], "a", to=T.FLOAT), NODE("Div", ["a", "m"], ["x"])]
    numbers = {"m": np.float32(255)}
    as_bytes = lambda pixels: pixels.astype(np.uint8)
    as_numbers = lambda pixels: pixels.astype(np.float32)
    floats = value("image", T.FLOAT, ["n", 3, SIDE, SIDE])
    column = lambda *numbers: np.array(numbers, np.float32).reshape(1, 3, 1, 1)
    normal = [NODE("Sub", ["image", "mean"], ["a"]), NODE("Div", ["a", "std"], ["x"])]
    moments = {"mean": column(0.485, 0.456, 0.406), "std": column(0.229, 0.224, 0.225)}
    odd = [NODE("Add", ["image", "three"], ["x"])]
    three = {"three": np.float32(3)}
    half = model(body(), [value("y", T.FLOAT16, ["n", CLASSES])], inputs=[value("x", T.FLOAT16, ["n", 3, SIDE, SIDE])], kind=np.float16)
    unsorted = model([*body(), end("Cast", ["z"], "x", to=T.FLOAT)], [Y], inputs=[value("z", T.FLOAT16, ["n", 3, SIDE, SIDE])])
    circle = model([NODE("Add", ["x", "b"], ["a"], name="one"), NODE("Relu", ["a"], ["b"], name="two"), *body()], [Y])
    circle.graph.node[2].input[0] = "b"
    mixed = [NODE("Concat", ["x", "second"], ["xx"], axis=1)]
    gray = body()
    return {
        "bytes_last": Case(
            model([*scaled, *body()], [Y], inputs=[bytes_last], extra=numbers),
            plain,
            "bytes go in as they are",
            preprocess=None,
            pixels=lambda pixels: as_bytes(pixels.transpose(0, 2, 3, 1)),
        ),
        "bytes_first": Case(
            model([*planes, *body()], [Y], inputs=[value("image", T.UINT8, ["n", 3, SIDE, SIDE])], extra=numbers),
            plain,
            preprocess=None,
            pixels=as_bytes,
        ),
        "bytes_opaque": Case(
            model([*planes, *body(features=OPAQUE)], [Y], inputs=[value("image", T.UINT8, [1, 3, SIDE, SIDE])], extra=numbers),
            plain,
            preprocess=None,
            pixels=as_bytes,
        ),
        "bytes_normalized": Case(
            model([*planes, *body()], [Y], inputs=[value("image", T.UINT8, ["n", 3, SIDE, SIDE])], extra=numbers),
            None,
            "the network's input holds bytes",
            preprocess="torchvision",
        ),
        "scaled_inside": Case(
            model([NODE("Div", ["image", "m"], ["x"]), *body()], [Y], inputs=[floats], extra=numbers),
            plain,
            "0..255, which the network scales itself",
            preprocess=None,
            pixels=as_numbers,
        ),
        "normalized_inside": Case(
            model([*normal, *body()], [Y], inputs=[floats], extra=moments),
            plain,
            "0..1, which the network normalizes itself",
            preprocess=None,
        ),
        "odd_arithmetic": Case(
            model([*odd, *body()], [Y], inputs=[floats], extra=three), None, "arithmetic of its own on the pixels", preprocess=None
        ),
        "odd_arithmetic_asked": Case(model([*odd, *body()], [Y], inputs=[floats], extra=three), plain),
        "half": Case(half, plain, pixels=lambda pixels: (pixels / 255).astype(np.float16), tolerance=HALF_TOLERANCE),
        "unsorted": Case(unsorted, plain, pixels=lambda pixels: (pixels / 255).astype(np.float16), tolerance=HALF_TOLERANCE),
        "circle": Case(circle, None, "`two` -> `one` -> `two`"),
        "fixed_batch": Case(model(body(), [value("y", T.FLOAT, [1, CLASSES])], inputs=[value("x", T.FLOAT, [1, 3, SIDE, SIDE])]), plain),
        "two_images": Case(
            model([*mixed, *body()], [Y], inputs=[X, value("second", T.FLOAT, ["n", 3, SIDE, SIDE])]), None, "the inputs `x`, `second`"
        ),
        "four_channels": Case(
            model(gray, [Y], inputs=[value("x", T.FLOAT, ["n", 4, SIDE, SIDE])], extra={"W": np.ones((WIDTH, 4, 3, 3), np.float32)}),
            None,
            "[n, 4, 64, 64] has neither 3 channels nor 1",
        ),
        "four_channels_last": Case(
            model(
                [end("Transpose", ["image"], "x", perm=[0, 3, 1, 2]), *gray],
                [Y],
                inputs=[value("image", T.FLOAT, ["n", SIDE, SIDE, 4])],
                extra={"W": np.ones((WIDTH, 4, 3, 3), np.float32)},
            ),
            None,
            "[n, 64, 64, 4] has neither 3 channels nor 1",
        ),
        "four_channels_opaque": Case(
            model(
                body(features=OPAQUE),
                [Y],
                inputs=[value("x", T.FLOAT, ["n", 4, SIDE, SIDE])],
                extra={"W": np.ones((WIDTH, 4, 3, 3), np.float32)},
            ),
            None,
            "an alpha of ones",
        ),
        "resized": Case(
            model([resize("image", "x"), *body()], [Y], inputs=[value("image", T.FLOAT, ["n", 3, "h", "w"])], extra=sizes(1)),
            plain,
            "squashes images of any size to 48x40 itself",
        ),
        "resized_by_exporters": Case(
            model(
                [
                    end("Shape", ["image"], "shape"),
                    NODE("Slice", ["shape", "zero", "two"], ["start"]),
                    NODE("Concat", ["start", "sides"], ["sizes"], axis=0),
                    resize("image", "x"),
                    *body(),
                ],
                [Y],
                inputs=[value("image", T.FLOAT, ["n", 3, "h", "w"])],
                extra={"zero": np.array([0]), "two": np.array([2]), "sides": np.array([48, 40])},
            ),
            plain,
            "squashes images of any size to 48x40 itself",
        ),
        "resized_and_normalized": Case(
            model(
                [resize("image", "resized"), NODE("Sub", ["resized", "mean"], ["a"]), NODE("Div", ["a", "std"], ["x"]), *body()],
                [Y],
                inputs=[value("image", T.FLOAT, ["n", 3, "h", "w"])],
                extra=moments | sizes(1),
            ),
            plain,
            "squashed, as the network's own `Resize` does: squashed to 48x40",
            preprocess=None,
        ),
        "resized_bytes": Case(
            model(
                [scaled[0], NODE("Div", ["a", "m"], ["b"]), resize("b", "d", last=True), end("Transpose", ["d"], "x", perm=[0, 3, 1, 2])]
                + body(),
                [Y],
                inputs=[value("image", T.UINT8, ["n", "h", "w", 3])],
                extra=numbers | {"sizes": np.array([1, 48, 40, 3])},
            ),
            plain,
            "squashes images of any size to 48x40 itself",
            preprocess=None,
            pixels=lambda pixels: as_bytes(pixels.transpose(0, 2, 3, 1)),
        ),
        "resized_after_a_fixed_input": Case(
            model([resize("image", "x"), *body()], [Y], inputs=[floats], extra=sizes(1)),
            plain,
            "input `image` [n, 3, 64, 64] FLOAT: the file does not say how pixels are scaled\n",
        ),
        "any_size": Case(
            model(body(), [Y], inputs=[value("x", T.FLOAT, ["n", 3, "h", "w"])]),
            plain,
            "leaves height and width open (see --size)",
            arguments=["--size", "64"],
        ),
        "any_size_opaque": Case(
            model(body(features=OPAQUE), [Y], inputs=[value("x", T.FLOAT, ["n", 3, "h", "w"])]),
            plain,
            "squashed to 96x64",
            arguments=["--size", "96x64", "--resize", "exact"],
        ),
        "gray": Case(
            model(gray, [Y], inputs=[value("x", T.FLOAT, ["n", 1, SIDE, SIDE])], extra={"W": WEIGHTS["W"][:, :1].astype(np.float32)}),
            plain,
            pixels=lambda pixels: (luma(pixels) / 255).astype(np.float32),
        ),
        "gray_opaque": Case(
            model(
                body(features=OPAQUE),
                [Y],
                inputs=[value("x", T.FLOAT, ["n", 1, SIDE, SIDE])],
                extra={"W": WEIGHTS["W"][:, :1].astype(np.float32)},
            ),
            plain,
            pixels=lambda pixels: (luma(pixels) / 255).astype(np.float32),
        ),
    }


def resize(image: str, output: str, *, last: bool = False) -> onnx.NodeProto:
    """A `Resize` to the tensor `sizes`, as PyTorch writes it; with the channels last none of the modes is asked for."""
    modes = {} if last else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return NODE("Resize", [image, "", "", "sizes"], [output], **modes)


def sizes(batch: int) -> dict[str, np.ndarray]:
    return {"sizes": np.array([batch, 3, 48, 40])}


def luma(pixels: np.ndarray) -> np.ndarray:
    """PIL's gray, without its rounding to whole numbers."""
    return np.einsum("nchw,c->nhw", pixels, [0.299, 0.587, 0.114])[:, None]


CASES = inputs()
