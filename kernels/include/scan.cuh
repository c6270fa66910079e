// Prefix sums over the threads of a block.
#pragma once
#include "warp.cuh"

namespace heatgrid {

// The sum over the threads before this one. parts: a word a warp; a barrier must lie between two calls.
HEATGRID_LEAF u32 sum_before(u32 value, u32* parts) {
  const u32 warp = threadIdx.x / WARP;
  u32 sum = value;
  for (u32 step = 1; step < WARP; step *= 2) {
    const u32 before = __shfl_up_sync(ALL_LANES, sum, step);
    if (lane() >= step) sum += before;
  }
  if (lane() == WARP - 1) parts[warp] = sum;
  __syncthreads();
  u32 base = 0;
  for (u32 w = 0; w < warp; ++w) base += parts[w];
  return base + sum - value;
}

}  // namespace heatgrid
