FROM scratch
RUN --mount='"type=bind,target=/x' true
RUN --mount='type=bind,source="a",target=/x' true
