ARG ELIXIR_VERSION=1.16.2
ARG OTP_VERSION=26.2.3
ARG BUILDER_IMAGE="hexpm/elixir:${ELIXIR_VERSION}-erlang-${OTP_VERSION}"
FROM ${BUILDER_IMAGE} as builder
RUN mix local.hex --force && mix local.rebar --force
ENV MIX_ENV="prod"
