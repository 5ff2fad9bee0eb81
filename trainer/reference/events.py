"""An event file as TensorBoard writes it, for the tests in trainer/src/logs.

pip install tensorboard; python trainer/reference/events.py
"""

import io
import pathlib

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.histogram_pb2 import HistogramProto
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "events.tfevents"


def scalars(wall_time, step, **values):
    parts = [Summary.Value(tag=tag.replace("_", "/"), simple_value=value) for tag, value in values.items()]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=parts))


def histogram(wall_time, step, tag, values):
    counts, edges = np.histogram(values, bins=30)
    values = np.array(values)
    histo = HistogramProto(min=values.min(), max=values.max(), num=len(values), sum=values.sum())
    histo.sum_squares = (values**2).sum()
    histo.bucket_limit.extend(edges[1:])
    histo.bucket.extend(counts)
    return Event(wall_time=wall_time, step=step, summary=Summary(value=[Summary.Value(tag=tag, histo=histo)]))


events = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000000.5, step=5, session_log=SessionLog(status=SessionLog.START)),
    scalars(1700000001.0, 5, train_loss=0.1, validation_top1=0.0),
    scalars(1700000002.0, 1 << 40, train_loss=-1e30),
    scalars(1700000003.0, 0, Größe=float("inf")),
    histogram(1700000004.0, 7, "weights/conv1", [-1.0, -0.9375, 0.03125, 0.03125, 2.6875, 2.75]),
]
buffer = io.BytesIO()
writer = RecordWriter(buffer)
for event in events:
    writer.write(event.SerializeToString())
TARGET.write_bytes(buffer.getvalue())
