FROM busybox
LABEL "com.example.vendor"="ACME Incorporated"
LABEL com.example.label-with-value="foo"
LABEL version 1.0 beta
LABEL multi.label1="value1" \
      multi.label2="value2" other="value3"
LABEL empty=
