FROM scratch
RUN --mount=type=bnd,target=/x \
    --mount=type=tmpfs,target=/y,sizee=1 \
    true
