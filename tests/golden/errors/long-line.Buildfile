FROM scratch
ENV A0=aaaaaaaaaaaaaaaaaaaa A1=aaaaaaaaaaaaaaaaaaaa A2=aaaaaaaaaaaaaaaaaaaa A3=aaaaaaaaaaaaaaaaaaaa A4=${x A5=aaaaaaaaaaaaaaaaaaaa A6=aaaaaaaaaaaaaaaaaaaa A7=aaaaaaaaaaaaaaaaaaaa A8=aaaaaaaaaaaaaaaaaaaa
