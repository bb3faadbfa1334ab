ARG SOURCE_DATE_EPOCH=made
FROM alpine AS made
ADD https://example.org/x /
FROM scratch
