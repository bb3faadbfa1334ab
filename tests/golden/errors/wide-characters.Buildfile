FROM scratch
LABEL 日本=語 é="${é" x=y
	ENV	A=1	B
