FROM scratch
COPY
COPY a
ADD ["a"]
COPY a b c
ADD ["a", "b", "c d"]
