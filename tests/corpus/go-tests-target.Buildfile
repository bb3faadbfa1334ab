FROM golang:1.21 as base
WORKDIR /go/src/app
COPY . .
FROM base as test
RUN go test ./... -race -count=1 2>&1 | tee /test.log; exit ${PIPESTATUS[0]}
FROM base as final
RUN go install ./...
