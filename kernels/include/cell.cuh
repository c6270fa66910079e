// The cell of a point: floor(fl(fl(v - origin) / step)) in float64, tested on the float before any cast.
#pragma once
#include "portable.cuh"

namespace heatgrid {

constexpr i64 OUTSIDE = -1;
constexpr i64 INVALID = -2;

struct Axis {
  double origin;
  double step;
  i64 cells;
};

HEATGRID_LEAF bool finite(double v) { return v - v == 0.0; }

// The index along one axis, or OUTSIDE; v is finite. The cast is safe after the test, and cuts -0.0 to 0.
HEATGRID_LEAF i64 along(double v, const Axis& axis) {
  const double q = div_rn(sub_rn(v, axis.origin), axis.step);
  return q >= 0.0 && q < static_cast<double>(axis.cells) ? static_cast<i64>(q) : OUTSIDE;
}

// iy * nx + ix, or OUTSIDE, or INVALID for a coordinate that is NaN or infinite, whatever the other one is.
HEATGRID_LEAF i64 cell_of(double x, double y, const Axis& ax, const Axis& ay) {
  if (!finite(x) || !finite(y)) return INVALID;
  const i64 ix = along(x, ax);
  const i64 iy = along(y, ay);
  return ix < 0 || iy < 0 ? OUTSIDE : iy * ax.cells + ix;
}

// Arrow validity: bit i of byte i / 8, least significant first; no bitmap: all valid.
HEATGRID_LEAF bool is_valid(const u8* bits, i64 i) { return bits == nullptr || ((bits[i >> 3] >> (i & 7)) & 1) != 0; }

}  // namespace heatgrid
