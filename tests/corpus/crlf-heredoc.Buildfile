FROM busybox
COPY <<EOF /x
body
EOF
RUN true
