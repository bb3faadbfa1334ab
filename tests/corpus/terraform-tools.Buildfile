FROM hashicorp/terraform:1.9 AS tf
FROM alpine
COPY --from=tf /bin/terraform /usr/local/bin/
COPY --from=bitnami/kubectl:1.30 /opt/bitnami/kubectl/bin/kubectl /usr/local/bin/
RUN terraform version; kubectl version --client=true
