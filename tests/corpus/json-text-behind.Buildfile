FROM busybox
CMD ["a"] x
