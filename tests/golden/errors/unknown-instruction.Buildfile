FROM scratch
RUNN true
COPPY a b
frobnicate everything
