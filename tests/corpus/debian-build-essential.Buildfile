ARG RELEASE=bookworm
FROM debian:${RELEASE} AS toolchain
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
RUN apt-get -q update; \
    apt-get -q -y install \
        build-essential \
        # the debugger is for the nightly job
        gdb \

        pkg-config ; \
    apt-get clean
WORKDIR /work
