FROM debian:testing
RUN apt-get update && apt-get install -y --no-install-recommends texlive-full=2024.\* && rm -rf /var/lib/apt/lists/*
WORKDIR /doc
ENTRYPOINT ["latexmk", "-pdf"]
