# Orderly's image: one for every process; the command says which. `--target sandbox` is the payment provider to test with.
FROM python:3.13-slim-bookworm AS build
WORKDIR /srv/orderly
RUN pip install --no-cache-dir "uv>=0.8,<1"
COPY pyproject.toml uv.lock ./
# --build-arg EXTRAS="--extra sentry --extra otel" for reports and traces.
ARG EXTRAS=""
# hadolint ignore=SC2086
RUN uv sync --frozen --no-dev --compile-bytecode --no-cache ${EXTRAS:-}
COPY . .
# Static files depend on no setting, but the settings must be there. These are of no shop.
RUN ORDERLY_LOCAL=1 SECRET_KEY=build STRIPE_API_KEY=sk_test_build DATABASE_URL=postgres://127.0.0.1/build \
    REDIS_URL=redis://127.0.0.1:6379/0 STATIC_ROOT=$PWD/static_root .venv/bin/python manage.py collectstatic --no-input \
 && .venv/bin/python -m compileall -q -x '[.]venv' . \
 && mv lab ..

FROM python:3.13-slim-bookworm AS base
RUN useradd --system --uid 10001 --home-dir /srv/orderly --no-log-init orderly \
 && install --directory --owner 10001 /srv/orderly/media \
 && install --directory --owner 10001 --mode 700 /srv/orderly/archive
WORKDIR /srv/orderly
COPY --from=build /srv/orderly /srv/orderly
ENV PATH=/srv/orderly/.venv/bin:$PATH STATIC_ROOT=/srv/orderly/static_root \
    MEDIA_ROOT=/srv/orderly/media PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000

FROM base AS sandbox
COPY --from=build /srv/lab /srv/orderly/lab
CMD ["python", "-m", "lab.sandbox", "--bind", "0.0.0.0:8420"]

FROM base AS shop
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "config.buffering.BufferingWorker", \
     "--workers", "2", "--threads", "8", "--preload", "--no-control-socket"]
