FROM busybox
RUN --network=none --security=sandbox true
RUN --mount=type=secret,id=token,env=TOKEN,required --mount=type=tmpfs,dst=/t,size=64m cat /run/secrets/token
RUN --mount=type=ssh ssh-add -l
RUN -- echo dashes
RUN --mount='type=bind,from=busybox,source=/bin,target=/b' ls /b
RUN --mount=type=bind,"source=a,b",target=/c true
RUN echo --not-a-flag --mount=type=cache
