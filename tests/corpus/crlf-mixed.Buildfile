FROM busybox
RUN a \
 b\
 c
ENV A=1
