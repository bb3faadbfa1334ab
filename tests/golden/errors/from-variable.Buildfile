FROM scratch
COPY --from=$STAGE a b
