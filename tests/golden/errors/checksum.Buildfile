FROM scratch
ADD --checksum=sha256:abc https://example.org/x /x
ADD --checksum=sha256:abc a /x
ADD --checksum=sha256:abc a b /x/
ADD --checksum=xyz https://example.org/x.git /x
