FROM busybox
RUN echo a > /a
FROM busybox
COPY --from=0 /a /a
FROM busybox
COPY --from=1 /a /b
