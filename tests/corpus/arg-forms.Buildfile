ARG GLOBAL
ARG TAG=latest OTHER="with blanks" THIRD
FROM busybox:${TAG}
ARG GLOBAL
ARG a b=1 c="2 3" d=$b
ARG empty=
