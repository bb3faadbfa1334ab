FROM busybox
RUN cat 3<<THREE <&3
three
THREE
