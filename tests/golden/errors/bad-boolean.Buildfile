FROM scratch
COPY --link=1 a b
COPY --parents=yes a b
ADD --unpack=no a b
