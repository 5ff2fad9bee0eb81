"""Prints what TensorBoard reads in a folder of event files, as JSON: for each tag of scalars its [step, value] pairs, for
each of histograms its [step, [min, max, count, sum, squares, limits, counts]] pairs. Called by the tests in
trainer/src/logs.

pip install tensorboard; python trainer/reference/read_events.py FOLDER
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0})
accumulator.Reload()


def histogram(value):
    limits, counts = list(value.bucket_limit), list(value.bucket)
    return [value.min, value.max, value.num, value.sum, value.sum_squares, limits, counts]


tags = accumulator.Tags()
scalars = {tag: [[event.step, event.value] for event in accumulator.Scalars(tag)] for tag in tags["scalars"]}
histograms = {
    tag: [[event.step, histogram(event.histogram_value)] for event in accumulator.Histograms(tag)]
    for tag in tags["histograms"]
}
print(json.dumps({"scalars": scalars, "histograms": histograms}))
