#!/usr/bin/env bash
# Lock the development tools: versions and hashes, no addresses. Run it after a change of pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"
"$uv" pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-emit-index-url --no-emit-find-links --no-header --quiet "$@" --output-file requirements/dev.txt
if grep -n '://' requirements/dev.txt; then
  echo "requirements/dev.txt names an address" >&2
  exit 1
fi
