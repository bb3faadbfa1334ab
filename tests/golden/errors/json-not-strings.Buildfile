FROM scratch
CMD ["a", 1]
COPY ["a", null, "/x"]
ENTRYPOINT [["a"]]
RUN ["x", true, {"a": 1}]
