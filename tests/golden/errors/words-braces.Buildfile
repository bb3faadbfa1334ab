FROM scratch
ENV A=${
ENV B=${}
ENV C=${a
ENV D=x${a:-${b}y
ENV E=${a b}
ENV F=${:x}
