FROM scratch AS 1st
FROM scratch AS a/b
