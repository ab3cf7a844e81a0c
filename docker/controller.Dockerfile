# The controller. Its folder, /var/lib/iris, must outlive the container:
#   iris build controller-image -t iris-controller
#   docker run -v iris:/var/lib/iris -v "$PWD/cluster.yaml:/etc/iris/cluster.yaml:ro" --network host iris-controller
# The build is that of worker.Dockerfile, which says why.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS dependencies
COPY dependencies /wheels
RUN python3 -m venv /pip \
    && python3 -m venv --without-pip /srv/iris \
    && /pip/bin/pip --python /srv/iris/bin/python3 install -q --no-index --no-deps --no-compile /wheels/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /srv/iris/lib

FROM dependencies AS iris
COPY iris /wheels
RUN /pip/bin/pip --python /srv/iris/bin/python3 install -q --no-index --no-deps --no-compile \
        --prefix /own/srv/iris /wheels/iris_orchestrator-*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /own /own/srv/iris/lib \
    && export PYTHONPATH="$(echo /own/srv/iris/lib/python3*/site-packages)" \
    && /pip/bin/pip --python /srv/iris/bin/python3 check \
    && /srv/iris/bin/python3 -m iris.cluster.controller.main --help >/dev/null

FROM ${BASE}
COPY --from=dependencies /srv/iris /srv/iris
COPY --from=iris /own/srv/iris /srv/iris
ENV PATH=/srv/iris/bin:$PATH
RUN mkdir -p /var/lib/iris && chown 10000:10000 /var/lib/iris
USER 10000:10000
VOLUME /var/lib/iris
EXPOSE 10000
ENTRYPOINT ["python3", "-m", "iris.cluster.controller.main"]
CMD ["serve", "--config=/etc/iris/cluster.yaml"]
