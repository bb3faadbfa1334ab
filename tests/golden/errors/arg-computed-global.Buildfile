ARG A=
ARG $A=1
FROM scratch
