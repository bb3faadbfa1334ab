FROM scratch AS first
ENV A=${B:?}
EXPOSE 80x
STOPSIGNAL $A
FROM first
HEALTHCHECK CMD true
COPY --chmod=$A a b
COPY --chmod=9 a b
