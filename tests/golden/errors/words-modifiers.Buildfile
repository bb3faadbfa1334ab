FROM scratch
ENV A=${v:=w} B=1
ENV C=${#v}
ENV D=${v^^}
ENV E=${v:1:2}
ENV F=${v,,}
ENV G=${v/p}
ENV H=${v@Q}
LABEL a=b c="x ${!v} y"
