FROM busybox
COPY ['a b', 'c']
ADD ["one", "two", "/three/"]
VOLUME ['/a']
