FROM debian:stable-slim
RUN apt-get update && apt-get install -y nginx \
	&& ln -sf /dev/stdout /var/log/nginx/access.log \
	&& ln -sf /dev/stderr /var/log/nginx/error.log
EXPOSE 80/tcp 443/tcp 443/udp
CMD ["nginx", "-g", "daemon off;"]
