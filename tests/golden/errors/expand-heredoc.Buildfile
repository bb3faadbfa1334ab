FROM scratch
COPY <<EOF /x
one
two ${X:?is needed}
EOF
