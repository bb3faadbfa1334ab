  FROM busybox AS a
    RUN true
	RUN echo tab
  FROM a
