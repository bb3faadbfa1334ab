FROM debian:bookworm-slim
RUN set -eux; \
	groupadd -r postgres --gid=999; \
# the home folder stays empty
	useradd -r -g postgres --uid=999 --home-dir=/var/lib/postgresql --shell=/bin/bash postgres; \
	install --verbose --directory --owner postgres --group postgres --mode 1777 /var/lib/postgresql
ENV PGDATA /var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
COPY docker-entrypoint.sh docker-ensure-initdb.sh /usr/local/bin/
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
