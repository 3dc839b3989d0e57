# The images of comment-moderation, one target each:
#   docker build --target worker --tag comment-moderation-worker:0.1.0 .   Faust workers, and the commands of an operator
#   docker build --target source --tag comment-moderation-source:0.1.0 .   the worker's image with the traffic source
#   docker build --target batch  --tag comment-moderation-batch:0.1.0 .    Airflow with the DAGs and the batch layer
#   docker build --target mlflow --tag comment-moderation-mlflow:0.1.0 .   the MLflow server
#   docker build --target object-store …                                   SeaweedFS, for docker-compose.yaml only
# Each installs its part of requirements.lock, with hashes (`make lock` writes docker/requirements-*.lock).
# Root file systems may be read-only: folders that must be writable are volumes here, beside /tmp.

FROM python:3.11.15-slim-trixie AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_INPUT=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

# --- this project as wheels ------------------------------------------------------------------------------------------
FROM base AS wheel
WORKDIR /source
COPY docker/requirements-wheel.lock ./
RUN pip install --require-hashes --no-deps --requirement requirements-wheel.lock
COPY pyproject.toml README.md LICENSE ./
COPY moderation ./moderation
COPY stream ./stream
COPY batch ./batch
COPY grafana/__init__.py grafana/py.typed ./grafana/
COPY grafana/source ./grafana/source
COPY grafana/preview ./grafana/preview
COPY local ./local
COPY cli ./cli
# The commit, for `moderation --version` and the lineage of models.
ARG REVISION=unknown
RUN if [ "${REVISION}" != unknown ]; then echo "${REVISION}" > moderation/revision.txt; fi \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# Without fault injection, benchmarks, demo, oracle and documentation.
FROM wheel AS source-wheel
RUN rm -r /wheel local/bench local/chaos local/containers local/demo local/docs local/oracle \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# Without traffic as well: neither the source nor the generator.
FROM source-wheel AS worker-wheel
RUN rm -r /wheel moderation/datasets/synthetic stream/source \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# --- worker -----------------------------------------------------------------------------------------------------------
FROM base AS worker-packages
COPY docker/requirements-worker.lock /tmp/
# --no-deps: the lock is the complete closure, and it contains an override that pip does not support (see pyproject.toml).
RUN python -m venv /opt/moderation \
    && /opt/moderation/bin/pip install --require-hashes --no-deps --requirement /tmp/requirements-worker.lock
COPY --from=worker-wheel /wheel /tmp/wheel
RUN /opt/moderation/bin/pip install --no-index --no-deps /tmp/wheel/*.whl

FROM base AS worker
LABEL org.opencontainers.image.title="comment-moderation-worker" \
      org.opencontainers.image.description="Faust workers that decide comments from Kafka, and the commands of an operator" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 moderation \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin moderation \
    && install --directory --owner=10001 --group=10001 /var/lib/moderation
COPY --from=worker-packages /opt/moderation /opt/moderation
COPY --chmod=0555 docker/park.sh /usr/local/bin/park
COPY --chmod=0555 docker/worker-health.py /usr/local/bin/worker-health
ENV PATH=/opt/moderation/bin:$PATH \
    HOME=/tmp \
    MODERATION_STATE_FOLDER=/var/lib/moderation
USER 10001:10001
WORKDIR /var/lib/moderation
VOLUME /var/lib/moderation
EXPOSE 6066 6067
# A worker that waits for its first model is healthy; one that `park` keeps is not.
HEALTHCHECK --interval=15s --timeout=10s --start-period=90s --start-interval=5s --retries=4 \
    CMD ["worker-health", "http://127.0.0.1:6066/health", "http://127.0.0.1:6067/health"]
CMD ["python", "-P", "-m", "stream", "--loop", "uvloop", "worker"]
# Last, because they differ in every build.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# --- source -----------------------------------------------------------------------------------------------------------
# This project only, beside the environment: the worker's image has the packages already.
FROM worker-packages AS source-packages
COPY --from=source-wheel /wheel /tmp/source-wheel
RUN /opt/moderation/bin/pip install --no-index --no-deps --ignore-installed --prefix /opt/source /tmp/source-wheel/*.whl

FROM worker AS source
LABEL org.opencontainers.image.title="comment-moderation-source" \
      org.opencontainers.image.description="Recorded or generated comments and actions onto Kafka"
COPY --from=source-packages /opt/source /opt/moderation
HEALTHCHECK NONE
CMD ["python", "-P", "-m", "stream", "source", "--help"]

# --- batch ------------------------------------------------------------------------------------------------------------
# apache-airflow of requirements.lock, so that entry point and packages are of one version; a test compares.
FROM apache/airflow:3.3.2-python3.11 AS airflow

FROM airflow AS batch-packages
USER 0
COPY docker/requirements-batch.lock /tmp/
# A separate environment: the image's own contains dozens of providers in versions this project was never tested with.
RUN "$(python -c 'import sys; print(sys.base_prefix)')/bin/python3" -m venv /opt/moderation \
    && PIP_USER=0 /opt/moderation/bin/pip install --no-cache-dir --require-hashes --no-deps \
        --requirement /tmp/requirements-batch.lock
COPY --from=wheel /wheel /tmp/wheel
RUN PIP_USER=0 /opt/moderation/bin/pip install --no-cache-dir --no-index --no-deps /tmp/wheel/*.whl
USER 50000

FROM airflow AS batch
LABEL org.opencontainers.image.title="comment-moderation-batch" \
      org.opencontainers.image.description="Airflow with the DAGs and the batch layer of comment-moderation" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 0
RUN install --directory --owner=50000 --group=0 --mode=0775 /var/lib/moderation
COPY --from=batch-packages /opt/moderation /opt/moderation
# Airflow writes this file if it does not exist, which fails on a read-only file system.
COPY docker/airflow.cfg /opt/airflow/airflow.cfg
COPY dags /opt/airflow/dags
ENV PATH=/opt/moderation/bin:$PATH \
    VIRTUAL_ENV=/opt/moderation \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    MODERATION_STATE_FOLDER=/var/lib/moderation
# Airflow's own account. Group 0 gives no privilege and lets any user id write.
USER 50000:0
VOLUME ["/opt/airflow/logs", "/var/lib/moderation"]
EXPOSE 8080
# For the default command; docker-compose.yaml and Airflow's chart define those of the other parts of Airflow.
HEALTHCHECK --interval=15s --timeout=10s --start-period=2m --start-interval=5s --retries=4 \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/api/v2/monitor/health"]
CMD ["api-server"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# --- mlflow -----------------------------------------------------------------------------------------------------------
FROM base AS mlflow-packages
COPY docker/requirements-mlflow.lock /tmp/
RUN python -m venv /opt/registry \
    && /opt/registry/bin/pip install --require-hashes --no-deps --requirement /tmp/requirements-mlflow.lock

FROM base AS mlflow
LABEL org.opencontainers.image.title="comment-moderation-mlflow" \
      org.opencontainers.image.description="The MLflow server of comment-moderation, with PostgreSQL, S3 and accounts" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10002 registry \
    && useradd --uid 10002 --gid 10002 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin registry \
    && install --directory --owner=10002 --group=10002 /var/lib/registry
COPY --from=mlflow-packages /opt/registry /opt/registry
COPY --chmod=0555 mlflow/entrypoint.sh /usr/local/bin/registry
# What the accounts may do; the server imports it by this name.
COPY --chmod=0444 local/access/registry.py /opt/registry/access/registry_access.py
ENV PATH=/opt/registry/bin:$PATH \
    PYTHONPATH=/opt/registry/access \
    HOME=/tmp \
    MLFLOW_HOST=0.0.0.0 \
    MLFLOW_PORT=5000 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    PYTHONSAFEPATH=1
USER 10002:10002
WORKDIR /var/lib/registry
VOLUME /var/lib/registry
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=3m --start-interval=5s --retries=4 \
    CMD ["python", "-P", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["/usr/local/bin/registry"]
CMD ["server"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# --- object store -----------------------------------------------------------------------------------------------------
# SeaweedFS for docker-compose.yaml, with a data folder that belongs to an account without rights.
FROM chrislusf/seaweedfs:4.48 AS object-store
USER 0
RUN mkdir -p /objects && chown 10003:10003 /objects
USER 10003:10003
WORKDIR /objects
VOLUME /objects
EXPOSE 8333
HEALTHCHECK --interval=15s --timeout=5s --start-period=1m --start-interval=2s --retries=4 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8333/healthz"]
ENTRYPOINT ["/usr/bin/weed", "-logtostderr=true"]
# Only S3 is reachable, because the other parts have no password. The first write of the only account, that of
# AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, creates a bucket. Each bucket reserves seven volumes at its first write; the
# free disk space divided by volumeSizeLimitMB is the number of volumes. With 128 MB, 3 GB are enough for three buckets.
CMD ["server", "-dir=/objects", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.ip.bind=0.0.0.0", \
     "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=0", "-master.volumeSizeLimitMB=128"]
