FROM busybox
RUN <<EOF
set -e
echo one
echo two
EOF
RUN echo after
