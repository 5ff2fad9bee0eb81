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

# Write openapi/openapi.json anew, after a change of the HTTP interface
openapi:
    cargo run --quiet --locked -- openapi > target/openapi.json
    mv target/openapi.json openapi/openapi.json

# Write the numbers and images that tests compare with anew, with PyTorch and PIL from the Python environment
reference:
    for script in */reference/*.py; do python "$script"; done

# Check exported files and the generated client with Python; PYTHON needs tests/interop/requirements.txt
interop python="python3":
    cargo build --workspace --all-targets --locked
    {{ python }} tests/interop/interop.py --graft target/debug/graft

# Licences and advisories of everything that is compiled in
deny:
    cargo deny check

# Build the container image
docker tag="graft":
    docker build --tag {{ tag }} .
