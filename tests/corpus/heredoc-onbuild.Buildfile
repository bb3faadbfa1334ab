FROM busybox
ONBUILD RUN <<EOF
echo triggered
EOF
ONBUILD COPY <<F /f
content
F
