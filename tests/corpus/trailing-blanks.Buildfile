FROM busybox  	
RUN true	 
ENV A=1  
   
CMD ["a"]   
