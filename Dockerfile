# The relay and nothing else, from the sources alone, for machines that can pull the image of Go: 'docker build .' or
# 'docker compose up'. 'make image' makes the same without pulling, see deploy/image/Dockerfile.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN mkdir -p bin/image && \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
        -o bin/image/outbox-relay ./cmd/outbox-relay && \
    deploy/licences.sh bin/image/outbox-relay >bin/image/THIRD_PARTY_LICENCES

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/image/outbox-relay /usr/local/bin/outbox-relay
COPY --from=build /src/LICENSE /src/bin/image/THIRD_PARTY_LICENCES /usr/share/doc/outbox-relay/
USER 65532:65532
EXPOSE 9470
ENTRYPOINT ["outbox-relay"]
CMD ["run"]
