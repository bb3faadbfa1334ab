FROM scratch
COPY <<EOF /a
first line
  second ${line
EOF
COPY <<-EOF /b
	a tab and ${x^^}
	EOF
