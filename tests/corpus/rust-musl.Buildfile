FROM rust:alpine AS build
RUN apk add musl-dev
WORKDIR /s
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() { println!("if you see this, \"it\" broke"); }' > src/main.rs && cargo build --release
FROM scratch
COPY --from=0 /s/target/x86_64-unknown-linux-musl/release/s /s
CMD ["/s"]
