# Escape = `
# syntax = docker/dockerfile:1.4

FROM mcr.microsoft.com/windows/servercore:ltsc2019
RUN dir c:\
ENV A=`"quoted`" B="c:\temp `"x`""
ENTRYPOINT ["cmd", "/S", "/C"]
