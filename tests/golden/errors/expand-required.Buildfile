FROM scratch
WORKDIR /a/${B:?must be given}/c
USER ${C?}
LABEL x="${D:?}"
