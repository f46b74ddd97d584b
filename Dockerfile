# The relay and nothing else. 'make image' builds the program on this machine first, a static one for the platform of the
# Docker daemon, so that no base image has to be pulled.
FROM scratch
COPY bin/image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY bin/image/outbox-relay /usr/local/bin/outbox-relay
# The licences of the relay and of everything that is linked into it.
COPY bin/image/LICENSE bin/image/THIRD_PARTY_LICENCES /usr/share/doc/outbox-relay/
# Any user but root; no file in here belongs to it.
USER 65532:65532
EXPOSE 9470
ENTRYPOINT ["outbox-relay"]
CMD ["run"]
