FROM scratch
ENV A=1 \
    # about B
    B \
    C=3
