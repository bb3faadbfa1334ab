FROM busybox
RUN for i in 1 2 3; do echo "$i" '$i' \$i `echo x`; done
RUN if [ "$A" = "b" ]; then echo yes; else echo no; fi
RUN echo 'unbalanced " inside' && echo "it's fine"
RUN printf '%s\n' "a b" | awk '{ print $1 }' && true
RUN echo ${BASH_VERSION%%.*} ${#A} ${A^^} $((1 + 2)) $(date)
