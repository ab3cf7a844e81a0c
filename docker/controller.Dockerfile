# The controller. Its folder, /var/lib/iris, must outlive the container:
#   pip wheel -w docker/wheels '.[server]'
#   docker build -f docker/controller.Dockerfile -t iris-controller docker
#   docker run -v iris:/var/lib/iris -v "$PWD/cluster.yaml:/etc/iris/cluster.yaml:ro" --network host iris-controller
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
COPY wheels /wheels
RUN python3 -m venv /srv/iris \
    && /srv/iris/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM ${BASE}
COPY --from=build /srv/iris /srv/iris
ENV PATH=/srv/iris/bin:$PATH
RUN mkdir -p /var/lib/iris && chown 10000:10000 /var/lib/iris
USER 10000:10000
VOLUME /var/lib/iris
EXPOSE 10000
ENTRYPOINT ["python3", "-m", "iris.cluster.controller.main"]
CMD ["serve", "--config=/etc/iris/cluster.yaml"]
