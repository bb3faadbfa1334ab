FROM busybox
RUN echo a
ENV A=b C=d
COPY a b c/
