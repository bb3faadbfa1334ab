FROM nginx
COPY <<EOF /etc/nginx/conf.d/default.conf
server {
    listen       ${PORT:-80};
    location / {
        root   /usr/share/nginx/html;
        try_files \$uri \$uri/ /index.html;
    }
}
EOF
