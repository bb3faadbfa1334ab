FROM scratch
RUN --network=hots true
RUN --security=foo true
