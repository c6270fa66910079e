// The cell of a point: floor(fl(fl(v - origin) / step)) in float64, tested on the float before any cast; and cheaper
// forms that give the same integer or say that they cannot.
#pragma once
#include "portable.cuh"

namespace heatgrid {

constexpr i64 OUTSIDE = -1;
constexpr i64 INVALID = -2;

// One axis of a grid; the host makes it (axis.py says why each bound holds).
// near: the product (v - origin) * reciprocal is trusted where it lies at least this far from an integer; -1 where it
// cannot be wrong, 2 where it is never trusted. f_*: the same in float32, for float32 coordinates; whole: the origin is
// 0 and the step a whole number, so that floor(v) + 1/2 stands for v and nothing is ever near.
struct Axis {
  double origin;
  double step;
  double reciprocal;
  double near;
  float f_origin;
  float f_reciprocal;
  float f_near;
  i32 whole;
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

// The quotient by the reciprocal, and whether it is on the right side of every edge: false for NaN and infinity, which
// are left to the definition. below: the quotient as defined is negative (a float32 product may have become -0.0).
HEATGRID_LEAF bool quick(double v, const Axis& axis, double& q, bool& below) {
  q = mul_rn(sub_rn(v, axis.origin), axis.reciprocal);
  below = !(q >= 0.0);
  return fabs(q - rint(q)) >= axis.near;
}

HEATGRID_LEAF bool quick(float v, const Axis& axis, float& q, bool& below) {
  const float d = sub_rn(v, axis.f_origin);
  q = mul_rn(axis.whole != 0 ? floorf(d) + 0.5f : d, axis.f_reciprocal);
  below = !(d >= 0.0f);
  return fabsf(q - rintf(q)) >= axis.f_near;
}

// The same as cell_of, for the price of a product wherever that is enough.
template <typename T>
HEATGRID_LEAF i64 quick_cell(T x, T y, const Axis& ax, const Axis& ay) {
  T qx, qy;
  bool left, above;
  const bool sure_x = quick(x, ax, qx, left);
  const bool sure_y = quick(y, ay, qy, above);
  if (!sure_x || !sure_y) return cell_of(static_cast<double>(x), static_cast<double>(y), ax, ay);
  if (left || above || !(qx < static_cast<T>(ax.cells)) || !(qy < static_cast<T>(ay.cells))) return OUTSIDE;
  return static_cast<i64>(static_cast<u32>(qy)) * ax.cells + static_cast<u32>(qx);
}

// Arrow validity: bit i of byte i / 8, least significant first; no bitmap: all valid.
HEATGRID_LEAF bool is_valid(const u8* bits, i64 i) { return bits == nullptr || ((bits[i >> 3] >> (i & 7)) & 1) != 0; }

}  // namespace heatgrid
