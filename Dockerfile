# ticketflow/app: every service of ours, the sandbox provider, `python -m stack credentials`, and the drills' auditor.
# Which of them a container is, its command says: `python -m reservation`, `python -m billing web`, ...

FROM debian:bookworm-slim AS libraries
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY requirements-run.txt /
# Compiled here, once: a service starts in half the time, and its user may not write to the image.
# pip and setuptools have done their work.
RUN python3 -m venv /venv \
 && /venv/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: -r requirements-run.txt \
 && /venv/bin/pip uninstall --quiet --yes setuptools pip \
 && find /venv -name __pycache__ -prune -exec rm -r {} + \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib

FROM debian:bookworm-slim
# curl is for health checks: it starts in milliseconds, a Python does not.
RUN groupadd --gid 10001 app \
 && useradd --uid 10001 --gid app --no-create-home --home-dir /app --shell /usr/sbin/nologin app \
 && install --directory --owner app --group app --mode 0700 /var/lib/ticketflow \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends curl python3 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY --from=libraries /venv /venv
ENV PATH=/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    TZ=UTC \
    PYTHONUNBUFFERED=1
WORKDIR /app
# From here on a change of our code costs a copy and a compilation.
COPY . /app
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app
USER app
CMD ["python", "-m", "reservation"]
