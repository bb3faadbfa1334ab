FROM busybox
COPY --from=Thing /A /B
LABEL A=a a=A
