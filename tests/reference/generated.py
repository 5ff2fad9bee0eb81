"""Numbers that tests make too (tests/src/generated.rs), so that no file of them is needed. Imported by the scripts beside it;
run by itself it writes nothing.
"""

import numpy as np


def generated(count, low, high, seed):
    """`count` numbers from `low` to `high`: a hash of the place and the seed (splitmix64's finaliser), its upper 24 bits."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / 2**24
    return (low + unit * (high - low)).astype(np.float32)
