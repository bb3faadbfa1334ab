FROM busybox
USER 1000
USER 1000:1000
USER $U:${G}
WORKDIR a
WORKDIR "b c"
WORKDIR /x/$A/${B:-c}
USER name with blanks
