FROM scratch
RUNN ÿþ
ENV A=ÿ B
