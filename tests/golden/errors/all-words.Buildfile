FROM scratch AS first
EXPOSE 80x
ENV A=${B
STOPSIGNAL $A
COPY --from=Firsst a b
FROM firrst:a:b
COPY --chmod=9 a b
COPY --chown=${ a b
RUN --mount=type=bind,target=/x,size=9 true
