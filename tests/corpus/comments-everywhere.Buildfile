# top

# second block
FROM busybox
  # indented comment
RUN echo a \
# inside
   # inside, indented
  && echo b \
	# with a tab

  && echo c # not a comment
#last
