"""Measures what ONNX Runtime's arena takes for the sessions of one model, for docs/adr/0020-memory-given-back.md.

    python tests/interop/measure_arena.py MODEL.onnx

As in graft, three sessions without prepacked weights share the environment's arena: one on two threads, two on one. Each row is a
process of its own, whose allocator is set up as `graft serve` sets glibc's up. Linux and glibc alone; needs onnxruntime and numpy.
"""

import ctypes
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

MIB = 1 << 20
STEPS = {
    "initial_chunk_size_bytes": 2 * MIB,
    "initial_growth_chunk_size_bytes": 2 * MIB,
    "max_power_of_two_extend_bytes": 2 * MIB,
}
# A name, what the arena is configured with (None for no arena), and whether runs are planned as one piece.
ROWS = {
    "doubling, planned": ({}, True),
    "by what is asked for, planned": ({"arena_extend_strategy": 1}, True),
    "doubling, not planned": ({}, False),
    "regions of 2 MiB, not planned": (STEPS, False),
    "no arena, planned": (None, True),
}


def resident() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024 / 1e6


def session(model: str, threads: int, has_arena: bool, planned: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = planned
    options.enable_cpu_mem_arena = has_arena
    options.add_session_config_entry("session.use_env_allocators", "1" if has_arena else "0")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.add_session_config_entry("session.disable_prepacking", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def measure(name: str, model: str) -> None:
    libc = ctypes.CDLL("libc.so.6")
    # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD, M_ARENA_MAX.
    for option, value in [(-3, MIB), (-1, 16 * MIB), (-2, MIB), (-8, 2)]:
        libc.mallopt(option, value)
    growth, planned = ROWS[name]
    if growth is not None:
        memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg(growth) if growth else None)
    wide, *narrow = (session(model, threads, growth is not None, planned) for threads in (2, 1, 1))
    taken = wide.get_inputs()[0]
    image = np.random.default_rng(0).random((1, *taken.shape[1:]), dtype=np.float32) * 255

    def run(engine: ort.InferenceSession, times: int) -> None:
        for _ in range(times):
            engine.run(None, {taken.name: image})

    def together(engines: list[ort.InferenceSession]) -> None:
        threads = [threading.Thread(target=run, args=(engine, 25)) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    libc.malloc_trim(0)
    before, cells = resident(), []
    for work in (lambda: run(wide, 1), lambda: run(wide, 20), lambda: together(narrow), lambda: together([wide, *narrow])):
        work()
        cells.append(f"{resident() - before:.1f}")
    started = time.process_time()
    run(narrow[0], 30)
    cells.append(f"{1000 * (time.process_time() - started) / 30:.1f}")
    print("|", " | ".join([name, *cells]), "|", flush=True)


def main() -> None:
    model = sys.argv[1]
    if len(sys.argv) == 3:
        return measure(sys.argv[2], model)
    print("| arena | one | twenty | two at a time | three | CPU ms a run |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        optimized = f"{folder}/optimized.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = optimized
        options.log_severity_level = 3
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for name in ROWS:
            subprocess.run([sys.executable, __file__, optimized, name], check=True)


if __name__ == "__main__":
    main()
