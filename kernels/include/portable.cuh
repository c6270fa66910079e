// What a host compiler and CUDA spell differently. The only #ifdef __CUDACC__ of the project is here.
#pragma once

#ifdef __CUDACC__
#define HEATGRID_LEAF __device__ __forceinline__
#define HEATGRID_UNROLL _Pragma("unroll")
#define HEATGRID_ROLLED _Pragma("unroll 1")
#define HEATGRID_SUB_RN(a, b) __dsub_rn(a, b)
#define HEATGRID_MUL_RN(a, b) __dmul_rn(a, b)
#define HEATGRID_DIV_RN(a, b) __ddiv_rn(a, b)
#define HEATGRID_FSUB_RN(a, b) __fsub_rn(a, b)
#define HEATGRID_FMUL_RN(a, b) __fmul_rn(a, b)
// Memory of the block: n objects, or as much as the launch asks for (one name a kernel).
#define HEATGRID_SHARED(T, name, n) __shared__ T name[n]
#define HEATGRID_DYNAMIC_SHARED(T, name)                  \
  extern __shared__ double heatgrid_dynamic_shared[];     \
  T* const name = reinterpret_cast<T*>(heatgrid_dynamic_shared)
#else
#include <cmath>
#define HEATGRID_LEAF inline
#define HEATGRID_UNROLL
#define HEATGRID_ROLLED
#define HEATGRID_SUB_RN(a, b) ((a) - (b))
#define HEATGRID_MUL_RN(a, b) ((a) * (b))
#define HEATGRID_DIV_RN(a, b) ((a) / (b))
#define HEATGRID_FSUB_RN(a, b) ((a) - (b))
#define HEATGRID_FMUL_RN(a, b) ((a) * (b))
#define HEATGRID_SHARED(T, name, n) \
  static const char name##_is[1] = {}; \
  T* const name = ::emulator::shared<T>(name##_is, n)
#define HEATGRID_DYNAMIC_SHARED(T, name) T* const name = ::emulator::dynamic_shared<T>()
#endif

namespace heatgrid {

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef long long i64;
typedef unsigned long long u64;

// One operation, rounded once to nearest: never fused with its neighbours. The host needs -ffp-contract=off.
HEATGRID_LEAF double sub_rn(double a, double b) { return HEATGRID_SUB_RN(a, b); }
HEATGRID_LEAF double mul_rn(double a, double b) { return HEATGRID_MUL_RN(a, b); }
HEATGRID_LEAF double div_rn(double a, double b) { return HEATGRID_DIV_RN(a, b); }
HEATGRID_LEAF float sub_rn(float a, float b) { return HEATGRID_FSUB_RN(a, b); }
HEATGRID_LEAF float mul_rn(float a, float b) { return HEATGRID_FMUL_RN(a, b); }

}  // namespace heatgrid
