FROM python:3
RUN python3 <<PY
print('a' + "b")
PY
RUN --mount=type=cache,target=/c <<EOF sh -x
echo flags too
EOF
