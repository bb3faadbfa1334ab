FROM busybox
COPY <<"EOF" /script.sh
echo $HOME ${nothing
EOF
COPY <<'E F' /x
EOF is not the end
E F
RUN cat <<"END"
$not expanded
END
