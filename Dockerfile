# Any image with Python 3.11 or later, venv and pip. A digest belongs here only once it has been resolved.
ARG BASE_IMAGE=python:3.13.9-slim-bookworm

FROM ${BASE_IMAGE} AS build
# Where pip finds packages, where that is not its default. Build arguments of this stage leave no trace in the last one.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_CERT
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY sidecar sidecar
RUN python3 -m venv --without-pip /opt/mc-sidecar \
    && python3 -m pip --python /opt/mc-sidecar/bin/python3 install --no-cache-dir --no-compile -c constraints.txt '.[fleet,top]' \
    && mkdir snapshot
# Bytecode of what `serve` imports and of nothing else: slim images ship the standard library without any, and with a
# read-only root file system Python would compile it anew at every start.
RUN /opt/mc-sidecar/bin/python3 -I -X pycache_prefix=/opt/mc-sidecar/bytecode -c "import sidecar.app, sidecar.cli, sidecar.fleet.fleet, sidecar.runtime.logs"

FROM ${BASE_IMAGE}
# The version of this checkout; where its source is, and which commit of it, the build says.
ARG VERSION=0.2.0
ARG SOURCE=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mc-sidecar" \
      org.opencontainers.image.description="Warm Solana token market caps for the application in the same pod" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/mc-sidecar /opt/mc-sidecar
COPY --from=build --chown=65532:65532 /src/snapshot /var/lib/mc-sidecar
COPY config /etc/mc-sidecar
# The first settings file that exists is read: a mounted one, then the one of the image.
ENV PATH=/opt/mc-sidecar/bin:$PATH \
    PYTHONPYCACHEPREFIX=/opt/mc-sidecar/bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    MC_SIDECAR_CONFIG=/etc/mc-sidecar/config/sidecar.yaml:/etc/mc-sidecar/sidecar.yaml \
    MC_SIDECAR_POPULAR=/etc/mc-sidecar/popular/popular.yaml \
    MC_SIDECAR_REVISION=${REVISION}
USER 65532:65532
EXPOSE 9765
ENTRYPOINT ["mc-sidecar"]
CMD ["serve"]
