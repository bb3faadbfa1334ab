FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
ARG TARGETOS TARGETARCH
ENV GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN --mount=target=. --mount=type=cache,target=/root/.cache/go-build go build -o /out/app .
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/app /
CMD ["/app"]
