From busybox As thing
rUn echo
eNv a=b
CoPy --From=x a b
