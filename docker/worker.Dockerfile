# A worker, and what tasks run in where nothing else is said. Made by:
#   iris build worker-image -t iris-worker
# which sends wheels and this file, and nothing else, so that a build needs no network.
# BASE is any image with Python 3.11 or later and its venv module; the wheels are for that Python.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS dependencies
COPY dependencies /wheels
RUN python3 -m venv /pip \
    && python3 -m venv --without-pip /srv/iris \
    && /pip/bin/pip --python /srv/iris/bin/python3 install -q --no-index --no-deps --no-compile /wheels/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /srv/iris/lib

# Iris in a layer of its own: a new version of it moves a few megabytes. It must start before it ships.
FROM dependencies AS iris
COPY iris /wheels
RUN /pip/bin/pip --python /srv/iris/bin/python3 install -q --no-index --no-deps --no-compile \
        --prefix /own/srv/iris /wheels/iris_orchestrator-*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /own /own/srv/iris/lib \
    && export PYTHONPATH="$(echo /own/srv/iris/lib/python3*/site-packages)" \
    && /pip/bin/pip --python /srv/iris/bin/python3 check \
    && /srv/iris/bin/python3 -m iris.cluster.worker.main --help >/dev/null

FROM ${BASE}
COPY --from=dependencies /srv/iris /srv/iris
COPY --from=iris /own/srv/iris /srv/iris
ENV PATH=/srv/iris/bin:$PATH
# It starts containers, so it runs as whoever may use the engine. Tasks have a user of their own.
ENTRYPOINT ["python3", "-m", "iris.cluster.worker.main"]
