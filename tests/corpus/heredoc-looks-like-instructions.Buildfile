FROM busybox
RUN <<EOF
FROM nothing
RUN \
# not a comment
	COPY a b
 EOF
EOF
WORKDIR /x
