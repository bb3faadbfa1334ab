FROM scratch
RUN cat <<A <<B
a
A
b
