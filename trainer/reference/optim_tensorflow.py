"""What TensorFlow 1's optimisers make of the gradients of optim.py, for the tests in trainer/src/optim.

pip install tensorflow-cpu; python trainer/reference/optim_tensorflow.py
"""

import json
import pathlib

import numpy
import tensorflow as tf

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "optim_tensorflow.json"
STEPS = 100
KEPT = [1, 2, 50, 51, 100]
INITIAL = [1.0, -2.0, 0.5, 0.0, 3.0, -0.25]


def gradient(step):
    numbers = [((step * 37 + i * 101 + step * i * 13) * 7919 % 257 - 128) / 64 for i in range(len(INITIAL))]
    return numpy.array(numbers, numpy.float32)


def optimiser(make, rate, l2=0.0):
    """The weights after the steps KEPT; L2 is added to the loss as tflearn does, `l2 * tf.nn.l2_loss(w)`."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as run:
        g = tf.compat.v1.placeholder(tf.float32, [len(INITIAL)])
        lr = tf.compat.v1.placeholder(tf.float32, [])
        w = tf.compat.v1.get_variable("w", initializer=tf.constant(INITIAL), use_resource=True)
        loss = tf.reduce_sum(g * w) + l2 * tf.nn.l2_loss(w)
        train = make(lr).minimize(loss, var_list=[w])
        run.run(tf.compat.v1.global_variables_initializer())
        kept = []
        for step in range(1, STEPS + 1):
            run.run(train, {g: gradient(step), lr: rate if step <= STEPS // 2 else rate / 10})
            if step in KEPT:
                kept.append(run.run(w).tolist())
    return {"rate": rate, "weights": kept}


def ema(decay):
    """With num_updates: the decay begins low. The weights of step n are its gradient, and INITIAL before."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as run:
        g = tf.compat.v1.placeholder(tf.float32, [len(INITIAL)])
        count = tf.compat.v1.placeholder(tf.float32, [])
        w = tf.compat.v1.get_variable("w", initializer=tf.constant(INITIAL), use_resource=True)
        average = tf.compat.v1.train.ExponentialMovingAverage(decay, num_updates=count)
        assign = w.assign(g)
        update = average.apply([w])
        run.run(tf.compat.v1.global_variables_initializer())
        for step in range(1, STEPS + 1):
            run.run(assign, {g: gradient(step)})
            run.run(update, {count: step - 1})
        return {"decay": decay, "averages": run.run(average.average(w)).tolist()}


train = tf.compat.v1.train
cases = {
    "kept": KEPT,
    "momentum": optimiser(lambda lr: train.MomentumOptimizer(lr, 0.9), 0.05),
    "momentum, l2": optimiser(lambda lr: train.MomentumOptimizer(lr, 0.9), 0.05, l2=0.1),
    "momentum, nesterov": optimiser(lambda lr: train.MomentumOptimizer(lr, 0.9, use_nesterov=True), 0.05),
    "rmsprop": optimiser(lambda lr: train.RMSPropOptimizer(lr, decay=0.9, momentum=0.0, epsilon=1e-10), 0.01),
    "rmsprop, l2": optimiser(
        lambda lr: train.RMSPropOptimizer(lr, decay=0.9, momentum=0.0, epsilon=1e-10), 0.01, l2=0.1
    ),
    "rmsprop, momentum": optimiser(
        lambda lr: train.RMSPropOptimizer(lr, decay=0.8, momentum=0.5, epsilon=1e-3), 0.01
    ),
    "ema": ema(0.9),
}
lines = [f"{json.dumps(name)}:{json.dumps(case, separators=(',', ':'))}" for name, case in cases.items()]
TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
