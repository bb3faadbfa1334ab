FROM scratch
ARG VCS_REF BUILD_DATE
LABEL org.opencontainers.image.revision=$VCS_REF \
      org.opencontainers.image.created=$BUILD_DATE \
      org.opencontainers.image.source="https://example.org/x" \
      org.opencontainers.image.description='It is "quoted" here'
