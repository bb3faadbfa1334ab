# syntax=docker/dockerfile:1
FROM alpine
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,uid=1000,gid=1000,mode=0400 true
RUN --mount=type=ssh,id=default,required=true git clone git@example.org:x/y
