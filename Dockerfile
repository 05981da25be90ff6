# One image for the manager and the CLI.  docker build -t tidegate:0.1.0 .
# With the extras `history`, `kafka` and `tracing`:
#   docker build --build-arg LOCK=requirements-image-extras.lock -t tidegate:0.1.0-extras .
FROM python:3.13-slim AS build
ARG LOCK=requirements-image.lock
WORKDIR /src
COPY requirements-image.lock requirements-image-extras.lock ./
RUN pip install --no-cache-dir --require-hashes --no-deps --target /opt/tidegate --requirement "$LOCK"
COPY istio_templates istio_templates
COPY ratelimiter ratelimiter
COPY warmup warmup
COPY collectors collectors
COPY k8s_manager k8s_manager
RUN cp -r istio_templates ratelimiter warmup collectors k8s_manager /opt/tidegate/ \
 && python -m compileall -q /opt/tidegate

FROM python:3.13-slim
COPY --from=build /opt/tidegate /opt/tidegate
RUN printf '#!/bin/sh\nexec python -m k8s_manager.cli.main "$@"\n' > /usr/local/bin/tidegate && chmod 755 /usr/local/bin/tidegate
ENV PYTHONPATH=/opt/tidegate PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532
ENTRYPOINT ["tidegate"]
