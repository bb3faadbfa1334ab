FROM busybox
ADD https://example.org/a.tar.gz /tmp/
ADD --checksum=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef https://example.org/b /b
ADD --keep-git-dir=true git@example.org:a/b.git#main:sub /src
ADD --unpack=false --chown=$U:${G:-g} a.tar /
