#!/usr/bin/env bash
# Build everything that is published into dist/, and try it: the sdist, a wheel with the kernels for
# each Python that is found, and one without, for all other machines. Usage: build.sh [PYTHON ...]
#
# Every wheel is built from the sdist, and installed and run in an environment of its own in which
# no compiler can be found.
set -euo pipefail
cd "$(dirname "$0")/.."

pythons=("$@")
if [ ${#pythons[@]} -eq 0 ]; then
  for version in 3.10 3.11 3.12 3.13; do
    if "python$version" -c '' 2>/dev/null; then pythons+=("python$version"); fi
  done
fi
[ ${#pythons[@]} -gt 0 ] || { echo 'no python3.10 to python3.13 is found: name one' >&2; exit 1; }

pip() { "$1" -m pip --disable-pip-version-check --no-input --quiet --quiet "${@:2}"; }

try() { env -i PATH="$work/clean/bin" "$work/clean/bin/python" packaging/smoke_test.py "$1"; }

rm -rf build/packaging dist
mkdir -p build/packaging dist
work=$PWD/build/packaging

"${pythons[0]}" -m venv "$work/tools"
pip "$work/tools/bin/python" install -r requirements/packaging.txt
echo 'Building the sdist'
"$work/tools/bin/python" -m build --sdist --outdir dist . >"$work/sdist.log"
sdist=$(ls dist/*.tar.gz)

echo 'Building the wheel without the kernels'
MMSEG_RLOSS_EXTENSION=none pip "${pythons[0]}" wheel --no-deps --wheel-dir dist "$sdist"
plain=$(ls dist/*-none-any.whl)

for python in "${pythons[@]}"; do
  echo "Building and trying the wheel for $python"
  rm -rf "$work/linux"
  MMSEG_RLOSS_EXTENSION=require pip "$python" wheel --no-deps --wheel-dir "$work/linux" "$sdist"
  # The name says on which systems it runs: that of the oldest C library with all it uses.
  PATH=$work/tools/bin:$PATH "$work/tools/bin/auditwheel" repair --strip \
    --wheel-dir "$work/repaired" "$work"/linux/*.whl
  compiled=$(ls -t "$work"/repaired/*.whl | head -1)

  "$python" -m venv "$work/clean"
  pip "$work/clean/bin/python" install "$compiled"
  try compiled
  pip "$work/clean/bin/python" install --no-deps --force-reinstall "$plain"
  try plain
  rm -rf "$work/clean"
  mv "$compiled" dist
done
ls -l dist
