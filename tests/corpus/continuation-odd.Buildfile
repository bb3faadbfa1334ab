FROM busybox
RUN echo a\
b
RUN echo \ 
  blank behind
RUN echo "x \
y"
RUN echo ends\\
RUN echo three\\\
CMD true \
