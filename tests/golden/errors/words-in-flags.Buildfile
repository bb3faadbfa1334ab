FROM --platform=${ scratch
COPY --chown=${a a b
COPY "--chown=${a" a b
COPY ["${a", "b"]
