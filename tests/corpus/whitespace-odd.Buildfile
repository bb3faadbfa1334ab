	FROM   busybox	AS	x   
RUN	echo	tabs
COPY  a   b	c/  
EXPOSE	1	2   3
ENV	A=1	B=2
LABEL  a=b   c=d  
WORKDIR   /a b c  
USER	me
