# comment
RUN true
FROM scratch
