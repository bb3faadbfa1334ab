FROM scratch
COPY --form=x a b
RUN --mout=type=tmpfs,target=/x true
ADD --zzz a b
CMD --port 80
WORKDIR --x /a
HEALTHCHECK --intervall=1s CMD true
FROM --plattform=linux/amd64 scratch
