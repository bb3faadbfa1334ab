ARG BASE=busybox
FROM ${BASE} AS one
RUN echo 1 > /1
FROM one AS two
RUN echo 2 > /2
FROM ${BASE}:latest AS three
COPY --from=two /1 /2 /both/
FROM scratch AS four
COPY --from=three /both /
FROM four
LABEL stage="five"
