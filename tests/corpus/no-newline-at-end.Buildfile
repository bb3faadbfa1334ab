FROM busybox
RUN true