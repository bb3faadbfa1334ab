FROM debian:12
RUN set -x \
 && export GNUPGHOME="$(mktemp -d)" \
 && for key in \
      0123456789ABCDEF0123456789ABCDEF01234567 \
      89ABCDEF0123456789ABCDEF0123456789ABCDEF \
    ; do \
      gpg --batch --keyserver hkps://keys.example.org --recv-keys "$key" ; \
    done \
 && gpgconf --kill all \
 && rm -rf "$GNUPGHOME"
