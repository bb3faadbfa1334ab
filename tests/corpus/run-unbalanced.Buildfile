FROM busybox
RUN echo it's not closed
CMD echo "neither
ENTRYPOINT echo ${what
