# `just` lists what there is. CONTRIBUTING.md says what each needs installed.

# List the recipes
[private]
default:
    @just --list

# Everything that CI checks, as CI checks it
check:
    bash .ci/run

# All tests
test *args:
    cargo test --workspace --locked {{ args }}

# The same by nextest, which runs each test in a process of its own; it runs no doctests
nextest *args:
    cargo nextest run --workspace --locked {{ args }}

# Which lines the tests reach, as a page: target/llvm-cov/html/index.html
coverage *args:
    cargo llvm-cov --workspace --locked --html --ignore-filename-regex '(tests|examples|benches)/' {{ args }}

# Write openapi/openapi.json anew, after a change of the HTTP interface
openapi:
    cargo run --quiet --locked -- openapi > target/openapi.json
    mv target/openapi.json openapi/openapi.json

# Write a manual page for each command into target/man
man:
    cargo run --quiet --locked -- man --out target/man

# Write the numbers, images and files that tests compare with anew; PYTHON needs PyTorch and the rest of CONTRIBUTING.md's list
reference python="python3":
    for script in models/reference/*.py trainer/reference/*.py tests/reference/*.py; do \
        case "$script" in */weights_keras.py | */heads.py | */optim_tensorflow.py | */exporters.py | */generated.py | */read_events.py) continue ;; esac; \
        {{ python }} "$script" || exit 1; \
    done
    {{ python }} tests/reference/exporters.py torch

# The same of Keras; PYTHON needs TensorFlow, which does not go well with PyTorch in one environment
reference-keras python="python3":
    {{ python }} models/reference/weights_keras.py
    {{ python }} trainer/reference/optim_tensorflow.py
    {{ python }} tests/reference/exporters.py keras

# Measure every network on every engine, and write the table in onnx/README.md; ORT_DYLIB_PATH names the library
parity:
    cargo run --locked --package tests --example parity_table

# Compare files of torchvision's weights with torchvision; PYTHON needs torch, torchvision, safetensors and pillow
torchvision python="python3":
    cargo build --workspace --locked
    {{ python }} tests/interop/check_torchvision.py target/debug/graft

# Check exported files and the generated client with Python; PYTHON needs tests/interop/requirements.txt
interop python="python3":
    cargo build --workspace --all-targets --locked
    {{ python }} tests/interop/interop.py --graft target/debug/graft

# Test the page in Chromium; PYTHON needs onnx, numpy and pillow
page python="python3":
    cargo build --workspace --bins --locked
    bash tests/page/run target/debug/graft {{ python }}

# Give a reader damaged files for so many seconds: onnx_import, onnx_opaque, weights, graph, labels
fuzz target seconds="300":
    bash tests/fuzz/run {{ target }} {{ seconds }}

# Kill, pause and starve a server for so many seconds; a seed repeats a run
chaos seconds="600" seed="":
    cargo build --workspace --all-targets --locked
    target/debug/examples/chaos {{ seconds }} {{ seed }}

# Licenses, sources and advisories of everything that is compiled in
deny:
    cargo deny --locked check

# Dependencies that no crate uses
machete:
    cargo machete --skip-target-dir

# Misspelled words in source and prose
typos:
    typos

# A wheel for this machine, in target/wheels, and what it gives in an empty environment; PYTHON needs maturin
wheel python="python3":
    {{ python }} -m maturin build --release
    {{ python }} tests/interop/check_wheel.py target/wheels/graft_vision-*.whl

# Programs and wheels for Linux on x86-64 and aarch64, with checksums, in target/dist-linux; PYTHON needs maturin and ziglang
dist python="python3" *architectures:
    bash .ci/dist {{ python }} {{ architectures }}

# Build the container image
docker tag="graft":
    docker build --tag {{ tag }} .
