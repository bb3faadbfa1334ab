from alpine:edge
maintainer Somebody <somebody@example.org>
run apk update
run apk add bash
cmd bash
