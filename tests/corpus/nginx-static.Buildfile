FROM nginx:1.27-alpine
COPY nginx.conf /etc/nginx/nginx.conf
COPY --chmod=644 dist/ /usr/share/nginx/html/
EXPOSE 80 443
STOPSIGNAL SIGQUIT
