FROM busybox
RUN ["cat", "<<EOF"]
COPY ["<x", "/y/"]
