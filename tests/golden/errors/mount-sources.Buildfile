FROM scratch AS tools
FROM scratch
RUN --mount=from=0,target=/tools make
