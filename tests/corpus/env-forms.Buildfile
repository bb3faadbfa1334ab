FROM busybox
ENV A=1
ENV B 2
ENV C three words and = signs
ENV D=4 E="five five" F='six' G=seven\ seven
ENV H=$A/${B}/${C:-x} I=
ENV J="" K=''
ENV L a=b c=d
