# an ordinary comment first
# escape=`
FROM busybox
RUN echo a \
  b
