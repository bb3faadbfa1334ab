FROM scratch
RUN
RUN --network=none
