FROM scratch
ENV A="open
ENV B='open
WORKDIR "/a
USER a'b
