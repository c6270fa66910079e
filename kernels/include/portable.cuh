// What a host compiler and CUDA spell differently. The only #ifdef __CUDACC__ of the project is here.
#pragma once

#ifdef __CUDACC__
#define HEATGRID_LEAF __device__ __forceinline__
#define HEATGRID_SUB_RN(a, b) __dsub_rn(a, b)
#define HEATGRID_DIV_RN(a, b) __ddiv_rn(a, b)
#else
#define HEATGRID_LEAF inline
#define HEATGRID_SUB_RN(a, b) ((a) - (b))
#define HEATGRID_DIV_RN(a, b) ((a) / (b))
#endif

namespace heatgrid {

typedef unsigned char u8;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// One operation, rounded once to nearest: never fused with its neighbours. The host needs -ffp-contract=off.
HEATGRID_LEAF double sub_rn(double a, double b) { return HEATGRID_SUB_RN(a, b); }
HEATGRID_LEAF double div_rn(double a, double b) { return HEATGRID_DIV_RN(a, b); }

}  // namespace heatgrid
