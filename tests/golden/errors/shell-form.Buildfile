FROM scratch
SHELL /bin/sh -c
SHELL ['/bin/sh', '-c']
SHELL ["/bin/sh", "-c",]
SHELL []
SHELL
