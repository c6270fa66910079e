// Images as lines to be filtered, 32 of them side by side in shared memory: lane = line, so the same code serves both
// axes and no two lanes of a warp want one bank.
#pragma once
#include "warp.cuh"

namespace heatgrid {

enum Border { ZERO = 0, REFLECT = 1, NEAREST = 2 };

constexpr int LINES = 32;
constexpr int PITCH = LINES + 1;

HEATGRID_LEAF float fused(float a, float b, float c) { return fmaf(a, b, c); }
HEATGRID_LEAF double fused(double a, double b, double c) { return fma(a, b, c); }

// The index inside [0, n) that stands for i; -1 for zero. n < 2^30.
HEATGRID_LEAF i32 border_index(i32 i, i32 n, i32 border) {
  if (i >= 0 && i < n) return i;
  if (border == ZERO) return -1;
  if (border == NEAREST) return i < 0 ? 0 : n - 1;
  i32 folded = i % (2 * n);
  if (folded < 0) folded += 2 * n;
  return folded < n ? folded : 2 * n - 1 - folded;
}

// One image as lines: `step` from one element of a line to the next, `pitch` from line to line.
struct Lines {
  i32 count;
  i32 length;
  i64 pitch;
  i64 step;
};

}  // namespace heatgrid
