# Комментарий
FROM busybox
# 注释
RUN true # ¡hola!
