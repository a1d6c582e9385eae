# NATS as Kedge runs it: not as root, with the configuration that `kedge nats-config` writes.
ARG BASE_IMAGE=kedge/nats-base
FROM ${BASE_IMAGE}
RUN mkdir -p /data /etc/kedge-nats \
 && chown 10001:10001 /data /etc/kedge-nats \
 && chmod 700 /data /etc/kedge-nats
USER 10001:10001
VOLUME /data
EXPOSE 7461
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=5 \
  CMD ["/bin/sh", "-c", "nc -w 1 127.0.0.1 7461 </dev/null | grep -q ^INFO"]
ENTRYPOINT ["nats-server"]
CMD ["-c", "/etc/kedge-nats/nats.conf"]
