FROM scratch
COPY --from a b
COPY --exclude a b
COPY --link= a b
RUN --mount true
RUN --mount= true
