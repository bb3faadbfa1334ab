FROM scratch
RUN --mount=type=bnd,target=/x true
RUN --mount=type=cache,tagret=/x true
RUN --mount=type=tmpfs,target=/x,required true
RUN --mount=type=cache,target=/x,sharing=lock true
RUN --mount=type=ssh,source=x true
RUN --mount=type=cache,target true
RUN --mount=type=secret,from=x,id=a true
RUN --mount=type=tmpfs true
RUN --mount=type=tmpfs,target=/ true
RUN --mount=type=secret,id=a,source=b true
RUN --mount=type=secret true
RUN --mount=type=secret,id=a,env=a=b true
RUN --mount=type=bind,target=/x,ro=maybe true
RUN --mount=type=cache,target=/x,mode=0999 true
RUN --mount=type=cache,target=/x,uid=root,gid=0 true
RUN --mount=type=cache,target=/x,gid=-1 true
RUN --mount=type=tmpfs,target=/x,size=big true
