FROM busybox AS src
FROM busybox
COPY --from=src --chown=1:2 --chmod=0755 --link /a /b
COPY --link=false --parents=true x/./y /z/
COPY --exclude=*.md --exclude=docs . /
COPY --chown="a:b" --from='src' /c /d
COPY -- --from=x /y/
COPY a --from=b c/
