FROM python:3.10 AS wheels
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt pip wheel -w /wheels -r /tmp/requirements.txt
FROM python:3.10-slim
RUN --mount=from=wheels,source=/wheels,target=/wheels \
  pip install --no-index --find-links=/wheels app
