FROM busybox
RUN true \