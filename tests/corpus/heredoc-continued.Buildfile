FROM busybox
RUN cat \
  <<EOF \
  > /out
body \
stays
EOF
