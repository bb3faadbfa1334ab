FROM scratch
ADD --keep-git-dir=true https://example.org/x.git?keep-git-dir=false /x
ADD https://example.org/x.git?nosuch=1 /y
ADD --checksum=0123456789012345678901234567890123456789 https://example.org/x.git?checksum=9876543210987654321098765432109876543210 /z
