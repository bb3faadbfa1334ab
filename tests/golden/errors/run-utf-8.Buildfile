FROM scratch
RUN echo café > /menu
RUN <<EOF
echo é
EOF
