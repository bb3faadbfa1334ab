FROM busybox
HEALTHCHECK NONE
HEALTHCHECK CMD true
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --retries=5 CMD ["curl", "-f", "http://localhost/"]
HEALTHCHECK   --interval=1h   cmd   test -e /tmp/up
