FROM rust:1 AS build
WORKDIR /usr/src/app
RUN --mount=type=cache,target=/usr/local/cargo/registry,id=cargo \
    --mount=type=cache,target=/usr/src/app/target,sharing=private \
    --mount=type=bind,source=.,target=.,rw \
    cargo install --path . --root /out
