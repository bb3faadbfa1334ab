# pybuild: cache=never
FROM scratch
# pybuild: cahce=never
WORKDIR /a
# pybuild: something else
WORKDIR /b
# pybuild:
WORKDIR /c
# pybuild: expires
WORKDIR /d
# pybuild: cache=sometimes
WORKDIR /e
# pybuild: expires=tomorrow
WORKDIR /f
# pybuild: recheck=""
RUN one
# pybuild: recheck="date
RUN two
# pybuild: recheck=date
COPY a b
# pybuild: expires=1h
# pybuild: expires=2h
RUN three
# pybuild: expires=1h cache=never
RUN four
RUN five \
    # pybuild: cache=never
    and six
ENV A=1
# pybuild: expires=24h
