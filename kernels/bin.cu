// Points per cell. counts holds ny * nx cells, zeroed by the caller (or kept, to add to it); tally is
// {outside, invalid}. bits are validity bitmaps, or null; offset is the bit of the first point.
//
// bin_<type>_u32 / _u64 add into the grid in global memory. A 32-bit grid takes fewer than 2^32 points before the
// caller adds it to a 64-bit one. bin_<type>_shared keeps one 32-bit grid a block in dynamic shared memory
// (ny * nx * 4 bytes) and adds it to the 64-bit grid at the end: for small grids, where all points want the same cells.
#include "include/cell.cuh"

namespace heatgrid {

HEATGRID_LEAF u64 first_point() { return static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x; }

HEATGRID_LEAF u64 point_stride() { return static_cast<u64>(gridDim.x) * blockDim.x; }

HEATGRID_LEAF void add_tally(u64* tally, u32 outside, u32 invalid) {
  if (outside != 0) atomicAdd(tally, static_cast<u64>(outside));
  if (invalid != 0) atomicAdd(tally + 1, static_cast<u64>(invalid));
}

template <typename T, typename Count>
HEATGRID_LEAF void bin_points(const T* x, const T* y, const u8* x_bits, i64 x_offset, const u8* y_bits,
                                           i64 y_offset, u64 n, const Axis& ax, const Axis& ay, Count* counts,
                                           u64* tally) {
  u32 outside = 0;
  u32 invalid = 0;
  for (u64 i = first_point(); i < n; i += point_stride()) {
    const i64 row = static_cast<i64>(i);
    i64 cell = INVALID;
    if (is_valid(x_bits, x_offset + row) && is_valid(y_bits, y_offset + row)) {
      cell = cell_of(static_cast<double>(x[i]), static_cast<double>(y[i]), ax, ay);
    }
    if (cell >= 0) {
      atomicAdd(counts + cell, static_cast<Count>(1));
    } else if (cell == OUTSIDE) {
      ++outside;
    } else {
      ++invalid;
    }
  }
  add_tally(tally, outside, invalid);
}

template <typename T>
HEATGRID_LEAF void bin_shared(const T* x, const T* y, const u8* x_bits, i64 x_offset, const u8* y_bits,
                                           i64 y_offset, u64 n, const Axis& ax, const Axis& ay, u64* counts,
                                           u64* tally) {
  extern __shared__ u32 own[];
  const u32 cells = static_cast<u32>(ax.cells * ay.cells);
  for (u32 c = threadIdx.x; c < cells; c += blockDim.x) own[c] = 0;
  __syncthreads();
  bin_points(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, own, tally);
  __syncthreads();
  for (u32 c = threadIdx.x; c < cells; c += blockDim.x) {
    if (own[c] != 0) atomicAdd(counts + c, static_cast<u64>(own[c]));
  }
}

}  // namespace heatgrid

using heatgrid::Axis;
using heatgrid::i64;
using heatgrid::u32;
using heatgrid::u64;
using heatgrid::u8;

extern "C" __global__ void bin_f32_u32(const float* x, const float* y, const u8* x_bits, i64 x_offset,
                                       const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u32* counts,
                                       u64* tally) {
  heatgrid::bin_points(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}

extern "C" __global__ void bin_f32_u64(const float* x, const float* y, const u8* x_bits, i64 x_offset,
                                       const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u64* counts,
                                       u64* tally) {
  heatgrid::bin_points(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}

extern "C" __global__ void bin_f32_shared(const float* x, const float* y, const u8* x_bits, i64 x_offset,
                                          const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u64* counts,
                                          u64* tally) {
  heatgrid::bin_shared(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}

extern "C" __global__ void bin_f64_u32(const double* x, const double* y, const u8* x_bits, i64 x_offset,
                                       const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u32* counts,
                                       u64* tally) {
  heatgrid::bin_points(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}

extern "C" __global__ void bin_f64_u64(const double* x, const double* y, const u8* x_bits, i64 x_offset,
                                       const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u64* counts,
                                       u64* tally) {
  heatgrid::bin_points(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}

extern "C" __global__ void bin_f64_shared(const double* x, const double* y, const u8* x_bits, i64 x_offset,
                                          const u8* y_bits, i64 y_offset, u64 n, Axis ax, Axis ay, u64* counts,
                                          u64* tally) {
  heatgrid::bin_shared(x, y, x_bits, x_offset, y_bits, y_offset, n, ax, ay, counts, tally);
}
