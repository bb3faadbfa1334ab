FROM scratch
ARG B=a=b
ENV $B=1
