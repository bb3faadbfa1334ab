FROM alpine:3.19
RUN set -eux; \
	apk add --no-cache --virtual .build-deps gcc musl-dev; \
	gcc --version; \
	apk del --no-network .build-deps
