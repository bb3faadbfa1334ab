FROM scratch
ENV $NOTHING=x
