FROM bash
RUN echo $((1<<2)) && cat <<<hi && echo "<<EOF"
ENV A=<<EOF
LABEL x="<<EOF"
CMD cat <<EOF
