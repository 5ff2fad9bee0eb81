# docker build -t graft .
# docker run -p 8080:8080 -v graft:/data -e GRAFT_KEYS=NAME:ROLES:SHA256 graft        keys: `graft key new`
# docker run -p 127.0.0.1:8080:8080 -v graft:/data graft serve --insecure             on one machine, without keys

# 1. The program. The cache mounts keep downloaded crates and compiled dependencies between builds; what is in them is
#    no part of any image, so the binary is copied out.
FROM rust:1.95-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nasm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY models models
COPY onnx onnx
COPY trainer trainer
COPY server server
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --profile dist --package server --bin graft \
    && install -D target/dist/graft /out/graft

# 2. ONNX Runtime: Microsoft's own library out of its Python package, the file that `graft runtime install` takes too
#    (server/src/runtime/install.rs).
FROM debian:bookworm-slim AS onnxruntime
# The versions are whatever this release of Debian has; what they fetch is pinned by its hash.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /wheel
# The first hash is for x86_64, the second for aarch64.
RUN echo 'onnxruntime==1.32.0' \
        '--hash=sha256:99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8' \
        '--hash=sha256:e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054' > requirements.txt \
    && pip download --no-cache-dir --no-deps --only-binary=:all: --implementation cp --python-version 3.12 \
        --platform "manylinux_2_28_$(uname -m)" --require-hashes --requirement requirements.txt \
    && python3 -m zipfile --extract onnxruntime-*.whl . \
    && install -D --mode=0644 --target-directory=/out/lib onnxruntime/capi/libonnxruntime.so.1.32.0 \
    && install -D --mode=0644 --target-directory=/out/doc onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt

# 3. What runs: the program, the library that it finds in ../lib, and no root.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="graft" \
      org.opencontainers.image.description="Fine-tunes image classifiers and serves them over HTTP" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
RUN groupadd --gid 10001 graft \
    && useradd --uid 10001 --gid graft --home-dir /data --no-create-home --shell /usr/sbin/nologin graft \
    && install --directory --owner=graft --group=graft /data
COPY --from=onnxruntime /out/lib/libonnxruntime.so.1.32.0 /usr/local/lib/
COPY --from=onnxruntime /out/doc /usr/local/share/doc/onnxruntime
COPY LICENSE-APACHE LICENSE-MIT /usr/local/share/doc/graft/
COPY --from=build /out/graft /usr/local/bin/graft
# Numbers, so that an orchestrator can see that it is not root.
USER 10001:10001
ENV GRAFT_DATA_DIR=/data \
    GRAFT_HOST=0.0.0.0
VOLUME /data
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["graft", "health"]
ENTRYPOINT ["graft"]
CMD ["serve"]
