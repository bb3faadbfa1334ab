FROM scratch
COPY --link --chown=app:staff a /b
COPY --link --chown=5:staff a /b
COPY --link --chown=5:6 a /b
