FROM busybox
COPY <<one.txt <<two.txt /data/
1
one.txt
2
two.txt
