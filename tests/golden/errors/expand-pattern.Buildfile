FROM scratch
ENV A=abc
WORKDIR /${A#a\b}/x
