FROM busybox
SHELL ["/bin/sh", "-ec"]
RUN false || true
SHELL [ "/bin/busybox" , "sh" , "-c" ]
