"""Small files in the formats of published data sets, for the tests in trainer/src/dataset.

cifar10_batch.pickle and cifar10_meta.pickle are what Python 2's cPickle wrote for CIFAR-10's Python version, here with four
images: protocol 2, texts and bytes as Python 2's `str`. pickle.load reads them as torchvision's CIFAR10 does.
datasplits_*.mat hold three divisions of 1360 numbers as scipy.io.savemat writes them, packed and not; image i is in `tst`
of division d where i % 4 == d, in `val` where i % 4 == (d + 1) % 4, else in `trn`.

pip install numpy scipy; python trainer/reference/datasets.py
"""

import io
import pathlib
import pickle
import struct

import numpy as np
import scipy.io

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "datasets"
NAMES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str2(self, text):
        short = len(text) < 256
        self.write((b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))) + text)
        self.memoize(text)

    dispatch[bytes] = save_str2

    def save_text(self, text):
        # NumPy's own words, such as its `b`, were `str` too.
        self.save_str2(text.encode())

    dispatch[str] = save_text


def written(value):
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    # NumPy 2 has moved the function.
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    # Byte i of image n is (7 i + 31 n) % 256.
    data = (7 * np.arange(3072)[None] + 31 * np.arange(4)[:, None]).astype(np.uint8)
    batch = {
        b"batch_label": b"training batch 1 of 5",
        b"labels": [6, 9, 0, 4],
        b"data": data,
        b"filenames": [b"a.png", b"b.png", b"c.png", b"d.png"],
    }
    meta = {b"num_cases_per_batch": 10000, b"label_names": NAMES, b"num_vis": 3072}
    for name, value in [("cifar10_batch.pickle", batch), ("cifar10_meta.pickle", meta)]:
        bytes_ = written(value)
        again = pickle.loads(bytes_, encoding="latin1")
        assert "data" not in again or (again["data"] == data).all()
        (TARGET / name).write_bytes(bytes_)

    class Command:
        def __reduce__(self):
            import os

            return os.system, ("true",)

    (TARGET / "command.pickle").write_bytes(pickle.dumps({"data": Command(), "labels": [1]}, protocol=2))

    numbers = np.arange(1, 1361)
    splits = {}
    for division in (1, 2, 3):
        rest = numbers % 4
        test, validation = rest == division % 4, rest == (division + 1) % 4
        for name, chosen in [("tst", test), ("val", validation), ("trn", ~(test | validation))]:
            splits[f"{name}{division}"] = numbers[chosen].astype(np.float64)
    splits["note"] = "texts are passed over"
    scipy.io.savemat(TARGET / "datasplits_packed.mat", splits, do_compression=True)
    scipy.io.savemat(TARGET / "datasplits_plain.mat", {"trn1": np.array([1, 2, 300], np.uint16), "x": np.array([0.5])})
    # The header has the date, which would change the file each time.
    for name in ("datasplits_packed.mat", "datasplits_plain.mat"):
        content = (TARGET / name).read_bytes()
        (TARGET / name).write_bytes(b"MATLAB 5.0 MAT-file".ljust(116, b" ") + content[116:])


main()
