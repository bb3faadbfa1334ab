ARG SOURCE_DATE_EPOCH=Made
FROM scratch AS made
ARG x
FROM scratch
