FROM registry.invalid/nobody:1 AS base
EXPOSE 80x
STOPSIGNAL ${SIGNAL:-nothing}
FROM base
COPY --chmod=9 a b
