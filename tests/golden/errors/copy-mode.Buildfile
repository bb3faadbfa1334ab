FROM scratch
COPY --chmod=999 a /b
COPY --chmod=u+z a /b
