// Symmetric separable filters: one axis a launch, along columns (down) or rows (along) of a stack of images.
//
// Each result is one chain of fused multiply-adds from the far taps to the near ones (small terms first), so its bits
// depend on no tile. taps: weights of distance 0 .. radius. border: what lies beyond (Border). only: a number for each 32
// lines, 0 where they are to be left as they are; none: all are filtered.
//
// A block filters 32 lines side by side, LENGTH results of each: lane = line, so the same code serves both axes and no
// two lanes of a warp want one bank. A warp takes 8 results in a row, whose inputs slide through its registers: two
// loads of shared memory for 16 additions and multiplications. Up to WINDOW / 2 taps the inputs lie in one window;
// beyond, taps come in steps with a window left and one right of the results, so any radius fits.
#include "include/lines.cuh"

namespace heatgrid {

constexpr int RESULTS = 8;
constexpr int WARPS = 8;
constexpr int LENGTH = RESULTS * WARPS;

// Fill rows [0, n) of a window: element `from + r` of each of the 32 lines from `line` on. Neighbouring threads read
// neighbouring memory: along a line where its elements are neighbours, else across the lines.
template <typename T>
HEATGRID_LEAF void load_window(const T* image, const Lines& lines, i32 line, i32 from, int n, i32 border, T* window) {
  const int warp = static_cast<int>(threadIdx.x) / LINES;
  const int lane = static_cast<int>(threadIdx.x) % LINES;
  const bool along = lines.step == 1;
  HEATGRID_ROLLED
  for (int outer = warp; outer < (along ? LINES : n); outer += WARPS) {
    HEATGRID_ROLLED
    for (int inner = lane; inner < (along ? n : LINES); inner += LINES) {
      const int r = along ? inner : outer;
      const int l = along ? outer : inner;
      const i32 at = border_index(from + r, lines.length, border);
      const bool there = at >= 0 && line + l < lines.count;
      window[r * PITCH + l] = there ? image[static_cast<i64>(line + l) * lines.pitch + at * lines.step] : T(0);
    }
  }
}

// Add taps high, high - 1, ... low to the RESULTS sums of a lane. left: input of the first result at tap `high`;
// right: at tap `low`. Both are rows of a window at the lane's line.
template <typename T>
HEATGRID_LEAF void add_taps(const T* left, const T* right, const T* taps, int high, int low, T* sums) {
  int k = high;
  for (; (k - low + 1) % RESULTS != 0; --k) {
    const T weight = taps[k];
    HEATGRID_UNROLL
    for (int c = 0; c < RESULTS; ++c) {
      sums[c] = fused(weight, left[(c + high - k) * PITCH] + right[(c + k - low) * PITCH], sums[c]);
    }
  }
  if (k < low) return;
  T a[RESULTS], b[RESULTS];
  HEATGRID_UNROLL
  for (int c = 0; c < RESULTS; ++c) {
    a[c] = left[(c + high - k) * PITCH];
    b[c] = right[(c + k - low) * PITCH];
  }
  // s taps on, element c of the left window is a[(c + s) % 8], of the right one b[(c - s) % 8]: the place that leaves is
  // the place that comes.
  for (; k >= low; k -= RESULTS) {
    HEATGRID_UNROLL
    for (int s = 0; s < RESULTS; ++s) {
      const T weight = taps[k - s];
      HEATGRID_UNROLL
      for (int c = 0; c < RESULTS; ++c) {
        sums[c] = fused(weight, a[(c + s) % RESULTS] + b[(c - s + RESULTS) % RESULTS], sums[c]);
      }
      if (k - s > low) {
        a[s] = left[(RESULTS + high - k + s) * PITCH];
        b[RESULTS - 1 - s] = right[(k - s - 1 - low) * PITCH];
      }
    }
  }
}

// STEP: taps a step where one window does not do. Windows: 2 * (LENGTH + STEP) rows in all.
template <typename T, int STEP>
HEATGRID_LEAF void filter(const T* values, T* out, const T* taps, i32 radius, i32 border, i64 images, i64 image_size,
                          const Lines& lines, const u32* only) {
  HEATGRID_SHARED(T, window, 2 * (LENGTH + STEP) * PITCH);
  const int line = static_cast<int>(threadIdx.x) % LINES;
  const int first = static_cast<int>(threadIdx.x) / LINES * RESULTS;
  const i32 across = (lines.count + LINES - 1) / LINES;
  const i32 tiles = (lines.length + LENGTH - 1) / LENGTH;
  const i64 tiles_of_image = static_cast<i64>(across) * tiles;
  for (i64 tile = blockIdx.x; tile < images * tiles_of_image; tile += gridDim.x) {
    // neighbouring blocks take tiles that share memory lines
    const i64 image = tile / tiles_of_image;
    const i64 rest = tile % tiles_of_image;
    const i32 line0 = static_cast<i32>(lines.step == 1 ? rest / tiles : rest % across) * LINES;
    const i32 at = static_cast<i32>(lines.step == 1 ? rest % tiles : rest / across) * LENGTH;
    if (only != nullptr && only[image * across + line0 / LINES] == 0) continue;
    const T* from = values + image * image_size;
    T sums[RESULTS] = {};
    T centre[RESULTS];
    if (radius <= STEP + LENGTH / 2) {
      load_window(from, lines, line0, at - radius, LENGTH + 2 * radius, border, window);
      __syncthreads();
      const T* mine = window + first * PITCH + line;
      if (radius > 0) add_taps(mine, mine + (radius + 1) * PITCH, taps, radius, 1, sums);
      HEATGRID_UNROLL
      for (int c = 0; c < RESULTS; ++c) centre[c] = mine[(c + radius) * PITCH];
    } else {
      T* const right = window + (LENGTH + STEP) * PITCH;
      for (int high = radius; high > 0; high -= STEP) {
        const int low = high > STEP ? high - STEP + 1 : 1;
        load_window(from, lines, line0, at - high, LENGTH + high - low, border, window);
        load_window(from, lines, line0, at + low, LENGTH + high - low, border, right);
        __syncthreads();
        const int mine = first * PITCH + line;
        add_taps(window + mine, right + mine, taps, high, low, sums);
        __syncthreads();
      }
      load_window(from, lines, line0, at, LENGTH, ZERO, window);
      __syncthreads();
      HEATGRID_UNROLL
      for (int c = 0; c < RESULTS; ++c) centre[c] = window[(first + c) * PITCH + line];
    }
    __syncthreads();
    HEATGRID_UNROLL
    for (int c = 0; c < RESULTS; ++c) window[(first + c) * PITCH + line] = fused(taps[0], centre[c], sums[c]);
    __syncthreads();
    HEATGRID_ROLLED
    for (int t = static_cast<int>(threadIdx.x); t < LENGTH * LINES; t += LINES * WARPS) {
      const int r = lines.step == 1 ? t % LENGTH : t / LINES;
      const int l = lines.step == 1 ? t / LENGTH : t % LINES;
      if (line0 + l < lines.count && at + r < lines.length) {
        out[image * image_size + static_cast<i64>(line0 + l) * lines.pitch + (at + r) * lines.step] = window[r * PITCH + l];
      }
    }
    __syncthreads();
  }
}

}  // namespace heatgrid

using heatgrid::i32;
using heatgrid::i64;
using heatgrid::u32;

extern "C" __global__ void __launch_bounds__(256, 3)
    smooth_down_f32(const float* values, float* out, const float* taps, i32 radius, i32 border, i64 images, i64 ny,
                    i64 nx, const u32* only) {
  heatgrid::filter<float, 32>(values, out, taps, radius, border, images, ny * nx, {static_cast<i32>(nx), static_cast<i32>(ny), 1, nx}, only);
}

extern "C" __global__ void __launch_bounds__(256, 3)
    smooth_along_f32(const float* values, float* out, const float* taps, i32 radius, i32 border, i64 images, i64 ny,
                     i64 nx, const u32* only) {
  heatgrid::filter<float, 32>(values, out, taps, radius, border, images, ny * nx, {static_cast<i32>(ny), static_cast<i32>(nx), nx, 1}, only);
}

extern "C" __global__ void __launch_bounds__(256, 2)
    smooth_down_f64(const double* values, double* out, const double* taps, i32 radius, i32 border, i64 images, i64 ny,
                    i64 nx, const u32* only) {
  heatgrid::filter<double, 16>(values, out, taps, radius, border, images, ny * nx, {static_cast<i32>(nx), static_cast<i32>(ny), 1, nx}, only);
}

extern "C" __global__ void __launch_bounds__(256, 2)
    smooth_along_f64(const double* values, double* out, const double* taps, i32 radius, i32 border, i64 images, i64 ny,
                     i64 nx, const u32* only) {
  heatgrid::filter<double, 16>(values, out, taps, radius, border, images, ny * nx, {static_cast<i32>(ny), static_cast<i32>(nx), nx, 1}, only);
}
