FROM busybox
RUN [ 1 = 1 ]
RUN [[ 1 == 1 ]] || true
RUN { echo a; echo b; }
COPY [a-c]*.txt /d/
COPY {a,b} /e/
CMD [[]x
