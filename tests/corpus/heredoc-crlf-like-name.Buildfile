FROM busybox
RUN <<end.of-file_1
x
end.of-file_1
