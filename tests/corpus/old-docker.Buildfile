FROM ubuntu
MAINTAINER SvenDowideit@example.org
RUN apt-get update
ADD http://example.org/x.tar.gz /x
ENV key a b c
ENTRYPOINT top -b
CMD -H
