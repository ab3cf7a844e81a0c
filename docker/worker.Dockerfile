# A worker, and what tasks run in where nothing else is said. Wheels come from outside, so that a
# build needs no package registry:
#   pip wheel -w docker/wheels '.[docker]'
#   docker build -f docker/worker.Dockerfile -t iris-worker docker
# BASE is any image with Python 3.11 or later and its venv module; the wheels are for its version.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
COPY wheels /wheels
RUN python3 -m venv /srv/iris \
    && /srv/iris/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM ${BASE}
COPY --from=build /srv/iris /srv/iris
ENV PATH=/srv/iris/bin:$PATH
# It starts containers, so it runs as whoever may use the engine. Tasks have a user of their own.
ENTRYPOINT ["python3", "-m", "iris.cluster.worker.main"]
