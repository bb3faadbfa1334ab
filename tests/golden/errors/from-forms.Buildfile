FROM
FROM scratch AS
FROM scratch a
FROM scratch ass b
FROM scratch AS a b
FROM scratch # the base
FROM scratch --platform=linux/amd64
