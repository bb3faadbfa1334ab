FROM busybox
LABEL name="héllo wörld" 日本="語" emoji=🙂
ENV GRÜSSE=Grüße
COPY ñandú.txt "/zoë/"
WORKDIR /données/été
RUN echo '→ ☃ — “quotes”'
MAINTAINER Żółw
