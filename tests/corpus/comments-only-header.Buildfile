#
# Copyright nobody
#
FROM scratch
