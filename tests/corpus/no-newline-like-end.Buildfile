FROM busybox
RUN echo "the last line"
