FROM scratch
RUN --mount=type=cache,target=/cache,source=/seed make
