FROM busybox
RUN cat << EOF
newer parsers take the blank
EOF
