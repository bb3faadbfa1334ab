FROM busybox
ENV A="=" B='=' C==
ENV "quoted key"=x
ENV OPTS="-Da=b -Dc=\"d e\"" X=a"b c"d'e f'g
LABEL "a b"="c d"
ARG "q"=1
