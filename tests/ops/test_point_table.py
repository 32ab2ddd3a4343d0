"""The table of lattice points where two keys agree in all that a slot of it holds."""

import os
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPILER = (os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++").split()

# The keys have one place, low ^ (high >> 32), and one tag, the lower half of high.
PROGRAM = """
#define MMSEG_RLOSS_ISA baseline
#define MMSEG_RLOSS_VECTOR_BYTES 16
#include "lattice/lattice.hpp"
#include "lattice/point_table.hpp"
using namespace mmseg_rloss::baseline;
int main() {
  const KeyWide keys[] = {{0, 5}, {1, (uint64_t(1) << 32) | 5}, {2, (uint64_t(2) << 32) | 5}};
  PointTable<KeyWide> table(8);
  int32_t numbers[2];
  table.insert(keys, 2, numbers);
  const bool known = table.find(keys[0]) == 0 && table.find(keys[1]) == 1;
  return numbers[0] == 0 && numbers[1] == 1 && known && table.find(keys[2]) == -1 ? 0 : 1;
}
"""


def test_wide_keys_that_agree_by_half_are_told_apart(tmp_path):
    source = tmp_path / "table.cpp"
    source.write_text(PROGRAM)
    command = [*COMPILER, "-std=c++17", "-I", str(ROOT / "csrc"), str(source)]
    program = tmp_path / "table"
    process = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert subprocess.run([str(program)]).returncode == 0
