FROM scratch
COPY <<EOF /a
hello
  EOF
