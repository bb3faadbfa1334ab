# syntax=docker/dockerfile:1.7-labs
# check=skip=StageNameCasing,FromAsCasing;error=true
# escape=\

FROM busybox AS Base
RUN true
