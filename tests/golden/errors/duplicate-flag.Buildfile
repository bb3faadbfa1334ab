FROM scratch
COPY --chown=1 --chown=2 a b
COPY --link --link=false a b
