// Where a thread stands, and sums over the lanes of a warp. Blocks are whole warps.
#pragma once
#include "portable.cuh"

namespace heatgrid {

constexpr u32 ALL_LANES = 0xffffffffu;
constexpr u32 WARP = 32;

HEATGRID_LEAF u32 lane() { return threadIdx.x % WARP; }

// A thread's first row, and how far it is to its next one.
HEATGRID_LEAF u64 first_row() { return static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x; }
HEATGRID_LEAF u64 row_stride() { return static_cast<u64>(gridDim.x) * blockDim.x; }

template <typename T>
HEATGRID_LEAF T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
  return value;
}

// Add the warp's sum of `value`, by one lane; nothing where it is 0.
HEATGRID_LEAF void add_sum(u64* to, u64 value) {
  const u64 sum = warp_sum(value);
  if (lane() == 0 && sum != 0) atomicAdd(to, sum);
}

}  // namespace heatgrid
