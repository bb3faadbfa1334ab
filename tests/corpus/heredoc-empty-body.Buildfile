FROM busybox
COPY <<EOF /empty
EOF
RUN <<EOF
EOF
