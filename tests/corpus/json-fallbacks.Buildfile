FROM busybox
CMD ['single', 'quotes']
CMD ["trailing",]
CMD ["open"
CMD [ ]
CMD []
ENTRYPOINT [ "a" , "b" ]
RUN [ -e /etc/passwd ] && echo yes
RUN ["a", "b"]
