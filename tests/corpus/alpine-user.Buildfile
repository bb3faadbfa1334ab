FROM alpine
ARG UID=1000 GID=1000
RUN addgroup -g $GID app && adduser -D -u $UID -G app app
USER app
WORKDIR /home/app
COPY --chown=app:app . .
