"""Prints what TensorBoard reads in a folder of event files: for each tag its [step, value] pairs, as JSON. Called by
the tests in trainer/src/logs.

pip install tensorboard; python trainer/reference/read_events.py FOLDER
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
accumulator.Reload()
tags = accumulator.Tags()["scalars"]
print(json.dumps({tag: [[event.step, event.value] for event in accumulator.Scalars(tag)] for tag in tags}))
