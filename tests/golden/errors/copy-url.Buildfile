FROM scratch
COPY https://example.org/x /x
COPY git@example.org:a/b.git /y
