FROM scratch
ENV A=${B:-some text}
LABEL a=${
