FROM python:3.11 AS builder
ARG POETRY_VERSION=1.8.3
ENV POETRY_HOME=/opt/poetry \
    POETRY_VIRTUALENVS_IN_PROJECT=true
RUN curl -sSL https://install.example.org | python3 - --version "${POETRY_VERSION:?give a version}"
COPY pyproject.toml poetry.lock ./
RUN $POETRY_HOME/bin/poetry install --only main --no-root
