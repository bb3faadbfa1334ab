FROM busybox
RUN <<-EOF
	echo indented
	if true; then
		echo deeper
	fi
	EOF
