#!/usr/bin/env bash
# Checks the systemd units, the alerts and the steps of the Dockerfile without an engine. It needs uv, which builds the image too.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The image: what git has but for what .dockerignore names, and the RUN lines of the stage that builds it.
mkdir "$folder/context"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - | tar --extract --directory "$folder/context"
(cd "$folder/context" && grep -v '[*#]' "$OLDPWD/.dockerignore" | xargs rm -rf && rm -rf .[a-z]*)
sed -n '/^FROM .* AS build/,/^FROM .* AS base/p' Dockerfile | sed '/pip install/d; s/^RUN //; /^[A-Z#]\+ /d' >"$folder/steps"
(cd "$folder/context" && UV_PROJECT_ENVIRONMENT=.venv bash -euo pipefail "$folder/steps" >/dev/null)
test ! -e "$folder/context/lab" && test ! -e "$folder/context/tests" && test -e "$folder/lab"
(cd "$folder/context" && ORDERLY_LOCAL=1 SECRET_KEY=check STRIPE_API_KEY=sk_test_check REDIS_URL=redis://127.0.0.1:6379/0 \
  DATABASE_URL=postgres://127.0.0.1/check .venv/bin/python -c "import config.wsgi, config.celery")
echo "The image's steps build a shop that starts."

if command -v promtool >/dev/null; then
  promtool check config --syntax-only deploy/prometheus/prometheus.yaml deploy/prometheus/local.yaml
  promtool check rules deploy/prometheus/alerts.yaml
  promtool test rules deploy/prometheus/alerts_test.yaml
  echo "Prometheus takes the alerts, and each fires when it should."
else
  echo "promtool is not here (Debian's prometheus has it): nobody has looked at the alerts."
fi

if command -v systemd-analyze >/dev/null; then
  mkdir "$folder/units"
  for unit in deploy/systemd/*; do
    sed "s|/srv/orderly/app|$folder/context|" "$unit" >"$folder/units/${unit##*/}"
  done
  systemd-analyze verify --man=no "$folder"/units/*
  echo "systemd takes the units."
fi
