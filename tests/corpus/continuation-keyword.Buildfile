\
FROM busybox
RU\
N echo split
ENV \
  A=1 \
  B=2
