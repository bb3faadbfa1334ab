FROM debian@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN dpkg --print-architecture | tee /etc/arch
USER nobody:nogroup
ENTRYPOINT ["/usr/bin/env"]
