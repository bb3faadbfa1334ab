FROM busybox
RUN echo a \
  && echo b

# comment
CMD ["x"]
