FROM python:3
ENV GREETING="hello world" NAME='it''s me' PATH_LIST=/a\ b:/c
ENV DOUBLE="a \"quoted\" word" SINGLE='a "double" word'
LABEL description="a long \
text over lines"
