# The images of a cluster, for those who build with a daemon; `images/pack` needs none.
#
#   docker build --target relay-operator      -t relaysh/relay-operator:0.1.0 .
#   docker build --target relay-metadata-api  -t relaysh/relay-metadata-api:0.1.0 .
#   docker build --target relay-runtime-tools -t relaysh/relay-runtime-tools:0.1.0 .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Static, and with an explicit target, since the flags would otherwise reach procedural macros too.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(uname -m)-unknown-linux-gnu" \
    && export RUSTFLAGS="-C target-feature=+crt-static" \
    && cargo build --locked --profile dist --target "$target" -p relay-bin \
        --bin relay-operator --bin relay-metadata-api \
    # Apart: what is built together shares its features, and the tools are to have few.
    && cargo build --locked --profile dist --target "$target" -p relay-tools \
    && mkdir /programs \
    && cp "target/$target/dist/relay-operator" "target/$target/dist/relay-metadata-api" \
        "target/$target/dist/relay-runtime-tools" /programs/

FROM scratch AS relay-runtime-tools
COPY --from=build /programs/relay-runtime-tools /ko-app/relay-runtime-tools
USER 65532:65532
ENTRYPOINT ["/ko-app/relay-runtime-tools"]

FROM scratch AS relay-metadata-api
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /programs/relay-metadata-api /ko-app/relay-metadata-api
USER 65532:65532
ENTRYPOINT ["/ko-app/relay-metadata-api"]

FROM scratch AS relay-operator
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /programs/relay-operator /ko-app/relay-operator
USER 65532:65532
ENTRYPOINT ["/ko-app/relay-operator"]
