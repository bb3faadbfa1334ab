FROM scratch
RUN --device=required x
