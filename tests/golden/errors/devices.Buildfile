FROM scratch
RUN --device=vendor.com/gpu=all,required=maybe x
RUN --device= x
RUN --device=vendor.com/gpu=all,requird x
RUN --device=name=a,name=b x
RUN --device=name=vendor.com/gpu,required --device=b/c=d,required=false x
