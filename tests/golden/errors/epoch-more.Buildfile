ARG SOURCE_DATE_EPOCH=made
FROM scratch AS made
ADD https://example.org/x /
RUN true
FROM scratch
