# escape=`
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022
SHELL ["powershell", "-Command", "$ErrorActionPreference = 'Stop';"]
WORKDIR C:\app
COPY bin\ C:\app\
RUN Get-ChildItem `
    -Path C:\app `
    -Recurse
ENV PATH="C:\app;${PATH}"
