FROM scratch
VOLUME [""]
VOLUME ["/a", " "]
VOLUME []
