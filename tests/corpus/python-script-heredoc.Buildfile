FROM python:3
RUN <<EOF
#!/usr/bin/env python3
import sys
print("hello from", sys.version_info[:2])
# a comment of Python's
EOF
