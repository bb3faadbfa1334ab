ARG
ARG =x
FROM scratch
ARG a =b
ARG a$B=1
