ARG IMG=busybox
FROM busybox
FROM busybox:1 AS A1
FROM busybox@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef aS b-2
FROM --platform=linux/arm64/v8 registry.example.org:5000/a/b_c/d:1.2-3 AS c_3
FROM $IMG AS d.4
FROM "busybox" AS e
FROM --platform=${BUILDPLATFORM:-linux/amd64} ${IMG:-busybox} as f
