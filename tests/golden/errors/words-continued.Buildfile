FROM scratch
ENV A=1 \
    B="two" \
    C=${x
