# The program in one image: `serve`, `work`, `migrate` and all other commands are arguments of it. The database is a
# server of its own (DATABASE_URL, DATABASE_URL_FILE); compose.yaml has one.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The lock's layer is built again only when the lock changes. Each file that is fetched has a hash in it. It has what
# development needs too; of all that, only what the program itself requires is installed below.
COPY constraints.txt /build/
RUN pip download --quiet --require-hashes --dest /build/wheels --requirement /build/constraints.txt
COPY pyproject.toml README.md LICENSE /build/tollbook/
COPY rates /build/tollbook/rates
COPY billing /build/tollbook/billing
COPY cli /build/tollbook/cli
RUN python -m venv /opt/tollbook \
    && /opt/tollbook/bin/pip install --quiet --no-index --find-links /build/wheels /build/tollbook

FROM python:3.13-slim
RUN groupadd --gid 10001 tollbook \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/tollbook --create-home --shell /usr/sbin/nologin tollbook
COPY --from=build /opt/tollbook /opt/tollbook
# TOLLBOOK_DATA: where compiled cards are kept from one start to the next; it may be lost.
ENV PATH=/opt/tollbook/bin:$PATH PYTHONUNBUFFERED=1 TOLLBOOK_DATA=/var/lib/tollbook/data
USER 10001:10001
WORKDIR /var/lib/tollbook
EXPOSE 8080
# Alive, not ready: a container is not to be started anew because its database is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v1/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tollbook"]
CMD ["serve", "--host", "0.0.0.0"]
