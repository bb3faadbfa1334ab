ARG BAD=${x
FROM scratch AS first
RUNN true
EXPOSE 80x
ENV A=${B
STOPSIGNAL SIGNOTHING
STOPSIGNAL $A
RUN --mount=type=nothing,target=/x true
COPY --from=first x y
FROM scratch AS fi rst
COPY --chmod=9 a b
COPY --from=Firsst a b
FORM scratch
WORKDIR
EXPOSE 99999999
