"""The vectors of arrays, for compilers without vector types: bit for bit those of the compiler."""

import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
COMPILER = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++").split()
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-pedantic", "-Werror"]

# Everything that the kernels ask of vectors, on the floats that come in; the results go out.
PROGRAM = """
#define MMSEG_RLOSS_ISA baseline
#define MMSEG_RLOSS_VECTOR_BYTES 16
#include "probabilities/probabilities.hpp"
#include "lattice/channels.hpp"
#include "probabilities/formats.hpp"
#include <cstdio>
using namespace mmseg_rloss;
using namespace mmseg_rloss::baseline;

template <class V>
void put(const V& v) { std::fwrite(&v, sizeof(V), 1, stdout); }

template <class T>
void calculate(const float* from) {
  using V = Vector<T, 8>;
  using U = Vector<UnsignedLike<T>, 8>;
  using S = Vector<SignedLike<T>, 8>;
  V rows[8];
  for (auto& row : rows)
    for (int i = 0; i < 8; ++i) row[i] = T(*from++);
  V a = rows[0], b = rows[1];
  put(a + b), put(a - b), put(a * b), put(a / b), put(-a), put(T(3) / b), put(a * T(0.1));
  put(select(a < b, a, b)), put(select(a > b, a, b)), put(select(a == a, a, b)), put(a < b);
  put(broadcast<V>(T(0.3))), put(round_to_even<T>(a));
  const U bits = bits_as<U>(a);
  put(bits << 3), put(bits >> 5), put((bits & 255u) | (bits * bits_as<U>(b)));
  put(convert<S>(select(a * a < T(1e6), a, V{})));
  a += b, b -= a, b *= T(0.7);
  put(a), put(b), put(shuffle<0, 9, 2, 11, 4, 13, 6, 15>(a, b));
  transpose8(rows);
  for (const auto& row : rows) put(row);
  auto row = Row<T, 3>::read(&rows[0][0]);
  row.add(Row<T, 3>::zero(), T(2)), row.scale(T(0.3)), row.write(&rows[1][0]);
  for (const auto& row : rows) put(row);
}

template <class L>
void change_format(const float* from) {
  L to[4];
  store_logits(to, load<Floats>(from));
  put(to), put(load_logits(to));
}

int main() {
  float numbers[64];
  while (std::fread(numbers, sizeof(numbers), 1, stdin)) {
    calculate<float>(numbers);
    calculate<double>(numbers);
    for (int i = 0; i < 64; i += 4) {
      const Floats x = load<Floats>(numbers + i);
      put(exp_of_negative(select(x > 0.0f, Floats(-x), x)));
      change_format<Float16>(numbers + i);
      change_format<BFloat16>(numbers + i);
    }
  }
}
"""


def numbers() -> np.ndarray:
    """Of every magnitude, both zeros, subnormal in 16 bits and in 32, infinite and not a number."""
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -87.3, -104.0, 65504.0, 65520.0]
    special += [6e-8, 3e-8, 6.1e-5, 1e-40, 1e38, -1e-3]
    magnitudes = np.exp(rng.uniform(-100, 88, 3000)) * rng.choice([-1, 1], 3000)
    mixed = np.concatenate([special, magnitudes, rng.uniform(-100, 100, 3080 - len(special))])
    return rng.permutation(mixed).astype(np.float32)


def results(folder: Path, *flags: str) -> bytes:
    source, program = folder / "vectors.cpp", folder / "vectors"
    source.write_text(PROGRAM)
    command = [*COMPILER, *FLAGS, *flags, "-I", str(ROOT / "csrc"), str(source)]
    process = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return subprocess.run([program], input=numbers().tobytes(), stdout=-1, check=True).stdout


def test_vectors_of_arrays_have_the_bits_of_the_compilers(tmp_path):
    of_compiler = results(tmp_path)
    assert len(of_compiler) > 400_000
    assert results(tmp_path, "-DMMSEG_RLOSS_PORTABLE") == of_compiler
