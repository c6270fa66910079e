// Columns made ready for bin.cu: several validities as one bitmap, weights as integers; and its 32-bit counters added to
// 64-bit ones.
#include "include/cell.cuh"
#include "include/warp.cuh"

namespace heatgrid {

constexpr double MOST_WEIGHT = 9007199254740992.0;  // 2^53

// Eight rows of a bitmap as one byte; rows behind the last are 0.
HEATGRID_LEAF u8 eight(const u8* bits, i64 offset, u64 row, u64 n) {
  u32 byte = 0;
  for (u64 k = 0; k < 8 && row + k < n; ++k) byte |= is_valid(bits, offset + static_cast<i64>(row + k)) ? 1u << k : 0u;
  return static_cast<u8>(byte);
}

// round(w * scale), half to even; -1 where negative, NaN, infinite or above 2^53.
HEATGRID_LEAF i64 fixed_point(double w, double scale) {
  const double scaled = mul_rn(w, scale);
  return w >= 0.0 && scaled <= MOST_WEIGHT ? static_cast<i64>(rint(scaled)) : -1;
}

}  // namespace heatgrid

using heatgrid::i64;
using heatgrid::u32;
using heatgrid::u64;
using heatgrid::u8;

// out &= the n rows of a bitmap from bit `offset` on; out starts at bit 0.
extern "C" __global__ void and_bits(const u8* bits, i64 offset, u64 n, u8* out) {
  for (u64 b = heatgrid::first_row(); b < (n + 7) / 8; b += heatgrid::row_stride()) {
    out[b] &= heatgrid::eight(bits, offset, 8 * b, n);
  }
}

// out &= n bytes, 0 or not.
extern "C" __global__ void and_bytes(const u8* bytes, u64 n, u8* out) {
  for (u64 b = heatgrid::first_row(); b < (n + 7) / 8; b += heatgrid::row_stride()) {
    u32 byte = 0;
    for (u64 k = 0; k < 8 && 8 * b + k < n; ++k) byte |= bytes[8 * b + k] != 0 ? 1u << k : 0u;
    out[b] &= static_cast<u8>(byte);
  }
}

// Integer weights: -1 where negative or above 2^53.
extern "C" __global__ void whole_weight(const i64* weight, u64 n, i64* out) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) {
    out[i] = weight[i] >= 0 && weight[i] <= static_cast<i64>(heatgrid::MOST_WEIGHT) ? weight[i] : -1;
  }
}

extern "C" __global__ void fixed_weight(const double* weight, double scale, u64 n, i64* out) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) {
    out[i] = heatgrid::fixed_point(weight[i], scale);
  }
}

extern "C" __global__ void widen(const u32* counts, u64 n, u64* values) {
  for (u64 i = heatgrid::first_row(); i < n; i += heatgrid::row_stride()) values[i] += counts[i];
}
