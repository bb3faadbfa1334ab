FROM busybox
HEALTHCHECK --start-interval=1s --start-period=0 CMD \
  wget -q -O /dev/null http://127.0.0.1/ \
  || exit 1
