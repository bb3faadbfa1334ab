FROM busybox
CMD ["tab\there", "quote\"s", "slash\/", "uni\u00e9", "back\\slash", "nl\n"]
ENTRYPOINT ["\ud83d\ude00"]
VOLUME ["/data", "/with blank"]
SHELL ["/bin/sh","-c"]
