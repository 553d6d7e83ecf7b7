/* Convolution, normalisation over all maps, and ReLU, layer after layer, of many small networks of one architecture.

   Rows of a batch lie innermost, (channels, height, width, rows), in sixteens: whatever the number of channels, each
   instruction works on sixteen rows. One network after the other passes through all layers, so that its maps stay in
   the cache. Compiled and called by member_chains.py; tests/test_member_chains.py compares with torch. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define BLOCK 8 /* outputs that are computed at once */
#define LINE 3 /* taps of a line of a kernel that are */
#define SUMMED 8 /* channels whose sums are summed: rounded less than one sum over all */
#define FEW 16 /* places of a map */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));

typedef int32_t mask __attribute__((vector_size(64), may_alias));

typedef struct {
  int64_t in, height, width, out, kernel, stride, padding, out_height, out_width;
} layer;

/* Outputs o ... o + n of a convolution. */
INLINE void convolve(const layer *l, int64_t rows, const float *x, const float *w, const float *bias, float *y,
                     int64_t o, int n, int v) {
  const int64_t k = l->kernel, taps = l->in * k * k, places = l->out_height * l->out_width;
  for (int64_t lane = 0; lane < rows; lane += LANES * v)
    for (int64_t oy = 0; oy < l->out_height; oy++)
      for (int64_t ox = 0; ox < l->out_width; ox++) {
        vec sum[BLOCK][2], all[BLOCK][2];
        for (int j = 0; j < n; j++)
          for (int i = 0; i < v; i++) {
            all[j][i] = (vec){} + (bias ? bias[o + j] : 0.0f);
            sum[j][i] = (vec){};
          }
        for (int64_t c = 0; c < l->in; c++) {
          if (c && c % SUMMED == 0)
            for (int j = 0; j < n; j++)
              for (int i = 0; i < v; i++) {
                all[j][i] += sum[j][i];
                sum[j][i] = (vec){};
              }
          for (int64_t ky = 0; ky < k; ky++) {
            const int64_t iy = oy * l->stride + ky - l->padding;
            if (iy < 0 || iy >= l->height) continue;
            for (int64_t kx = 0; kx < k; kx++) {
              const int64_t ix = ox * l->stride + kx - l->padding;
              if (ix < 0 || ix >= l->width) continue;
              const float *from = x + ((c * l->height + iy) * l->width + ix) * rows + lane;
              const float *weight = w + o * taps + (c * k + ky) * k + kx;
              for (int i = 0; i < v; i++) {
                const vec value = *(const vec *)(from + LANES * i);
                for (int j = 0; j < n; j++) sum[j][i] += weight[j * taps] * value;
              }
            }
          }
        }
        for (int j = 0; j < n; j++)
          for (int i = 0; i < v; i++)
            *(vec *)(y + ((o + j) * places + oy * l->out_width + ox) * rows + lane + LANES * i) = all[j][i] + sum[j][i];
      }
}

/* The gradient of the inputs c ... c + n. */
INLINE void hand_on(const layer *l, int64_t rows, const float *g, const float *w, float *gx, int64_t c, int n, int v) {
  const int64_t k = l->kernel, taps = l->in * k * k, places = l->out_height * l->out_width;
  for (int64_t lane = 0; lane < rows; lane += LANES * v)
    for (int64_t iy = 0; iy < l->height; iy++)
      for (int64_t ix = 0; ix < l->width; ix++) {
        vec all[BLOCK][2];
        for (int j = 0; j < n; j++)
          for (int i = 0; i < v; i++) all[j][i] = (vec){};
        for (int64_t ky = 0; ky < k; ky++) {
          const int64_t down = iy + l->padding - ky, oy = down / l->stride;
          if (down < 0 || down % l->stride || oy >= l->out_height) continue;
          vec sum[BLOCK][2]; /* of one line of the kernel, for the same reason as `SUMMED` */
          for (int j = 0; j < n; j++)
            for (int i = 0; i < v; i++) sum[j][i] = (vec){};
          for (int64_t kx = 0; kx < k; kx++) {
            const int64_t right = ix + l->padding - kx, ox = right / l->stride;
            if (right < 0 || right % l->stride || ox >= l->out_width) continue;
            const float *given = g + (oy * l->out_width + ox) * rows + lane;
            const float *weight = w + (c * k + ky) * k + kx;
            for (int64_t o = 0; o < l->out; o++)
              for (int i = 0; i < v; i++) {
                const vec value = *(const vec *)(given + o * places * rows + LANES * i);
                for (int j = 0; j < n; j++) sum[j][i] += weight[o * taps + j * k * k] * value;
              }
          }
          for (int j = 0; j < n; j++)
            for (int i = 0; i < v; i++) all[j][i] += sum[j][i];
        }
        for (int j = 0; j < n; j++)
          for (int i = 0; i < v; i++)
            *(vec *)(gx + (((c + j) * l->height + iy) * l->width + ix) * rows + lane + LANES * i) = all[j][i];
      }
}

/* value where `of` is above 0 or no number, otherwise 0 */
INLINE vec where_above(vec of, vec value) { return (vec)((mask)value & ~(mask)(of <= 0.0f)); }

typedef float vec8 __attribute__((vector_size(32)));
typedef float vec4 __attribute__((vector_size(16)));

INLINE float total(vec value) {
  union { vec whole; vec8 halves[2]; } a = {value};
  union { vec8 whole; vec4 halves[2]; } b = {a.halves[0] + a.halves[1]};
  const vec4 sum = b.halves[0] + b.halves[1];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* The gradient of the weights of outputs o ... o + n. The taps of one line of the kernel, t of them, are computed at
   once: what the outputs are given is then read once for all of them. */
INLINE void weigh(const layer *l, int64_t rows, const float *x, const float *g, float *gw, int64_t o, int n, int t) {
  const int64_t k = l->kernel, taps = l->in * k * k, places = l->out_height * l->out_width;
  for (int64_t c = 0; c < l->in; c++)
    for (int64_t ky = 0; ky < k; ky++)
      for (int64_t kx = 0; kx < k; kx += t) {
        vec sum[BLOCK][LINE];
        for (int j = 0; j < n; j++)
          for (int i = 0; i < t; i++) sum[j][i] = (vec){};
        for (int64_t oy = 0; oy < l->out_height; oy++) {
          const int64_t iy = oy * l->stride + ky - l->padding;
          if (iy < 0 || iy >= l->height) continue;
          for (int64_t ox = 0; ox < l->out_width; ox++) {
            const int64_t ix = ox * l->stride + kx - l->padding;
            const float *from = x + ((c * l->height + iy) * l->width + ix) * rows;
            const float *given = g + (o * places + oy * l->out_width + ox) * rows;
            for (int64_t lane = 0; lane < rows; lane += LANES) {
              vec values[BLOCK];
              for (int j = 0; j < n; j++) values[j] = *(const vec *)(given + j * places * rows + lane);
              for (int i = 0; i < t; i++) {
                if (ix + i < 0 || ix + i >= l->width) continue;
                const vec value = *(const vec *)(from + i * rows + lane);
                for (int j = 0; j < n; j++) sum[j][i] += value * values[j];
              }
            }
          }
        }
        for (int j = 0; j < n; j++)
          for (int i = 0; i < t; i++) gw[(o + j) * taps + (c * k + ky) * k + kx + i] = total(sum[j][i]);
      }
}

/* (taps, BLOCK, in) as (n, in, taps) */
INLINE void part_out(int64_t in, int64_t taps, const float *part, float *gw, int n) {
  for (int j = 0; j < n; j++)
    for (int64_t c = 0; c < in; c++)
      for (int64_t tap = 0; tap < taps; tap++) gw[(j * in + c) * taps + tap] = part[(tap * BLOCK + j) * in + c];
}

/* The same where a map has few places: sixteen inputs at once, so that no weight is a sum over lanes.
   turned: the input as (places, rows, in). part: room for the weights of BLOCK outputs. */
INLINE void weigh_turned(const layer *l, int64_t rows, const float *turned, const float *g, float *gw, float *part,
                         int64_t o, int n, int v) {
  const int64_t k = l->kernel, in = l->in, places = l->out_height * l->out_width;
  memset(part, 0, k * k * BLOCK * in * sizeof(float));
  for (int64_t ky = 0; ky < k; ky++)
    for (int64_t kx = 0; kx < k; kx++)
      for (int64_t oy = 0; oy < l->out_height; oy++) {
        const int64_t iy = oy * l->stride + ky - l->padding;
        if (iy < 0 || iy >= l->height) continue;
        for (int64_t ox = 0; ox < l->out_width; ox++) {
          const int64_t ix = ox * l->stride + kx - l->padding;
          if (ix < 0 || ix >= l->width) continue;
          const float *given = g + (o * places + oy * l->out_width + ox) * rows;
          for (int64_t c = 0; c < in; c += LANES * v) {
            const float *from = turned + (iy * l->width + ix) * rows * in + c;
            vec sum[BLOCK][2];
            for (int j = 0; j < n; j++)
              for (int i = 0; i < v; i++) sum[j][i] = (vec){};
            for (int64_t row = 0; row < rows; row++)
              for (int i = 0; i < v; i++) {
                const vec value = *(const vec *)(from + row * in + LANES * i);
                for (int j = 0; j < n; j++) sum[j][i] += given[j * places * rows + row] * value;
              }
            for (int j = 0; j < n; j++)
              for (int i = 0; i < v; i++)
                *(vec *)(part + ((ky * k + kx) * BLOCK + j) * in + c + LANES * i) += sum[j][i];
          }
        }
      }
  if (k == LINE)
    part_out(in, LINE * LINE, part, gw + o * in * LINE * LINE, n);
  else
    part_out(in, k * k, part, gw + o * in * k * k, n);
}

/* (in, places, rows) as (places, rows, in) */
static void turn(const layer *l, int64_t rows, const float *x, float *turned) {
  const int64_t size = l->height * l->width * rows;
  for (int64_t c = 0; c < l->in; c++)
    for (int64_t i = 0; i < size; i++) turned[i * l->in + c] = x[c * size + i];
}

/* Room for both ways of a layer whose weights are computed from turned inputs; 0 where they are not. */
static int64_t room(const layer *l, int64_t rows) {
  if (l->out_height * l->out_width > FEW || l->in % LANES) return 0;
  return l->in * (l->height * l->width * rows + BLOCK * l->kernel * l->kernel);
}

/* y (n, rows) becomes normalised over n, each row by itself; out: ReLU of it after scale and shift of each channel. */
static void normalise(int64_t channels, int64_t places, int64_t rows, float eps, float *y, float *rstd,
                      const float *scale, const float *shift, float *out) {
  const int64_t n = channels * places;
  for (int64_t lane = 0; lane < rows; lane += LANES) {
    vec mean = {}, square = {}; /* sums of the sums of channels: rounded less, and several at once */
    for (int64_t c = 0; c < channels; c++) {
      vec sum = {};
      for (int64_t i = c * places; i < (c + 1) * places; i++) sum += *(vec *)(y + i * rows + lane);
      mean += sum;
    }
    mean /= (float)n;
    for (int64_t c = 0; c < channels; c++) {
      vec sum = {};
      for (int64_t i = c * places; i < (c + 1) * places; i++) {
        const vec apart = *(vec *)(y + i * rows + lane) - mean;
        sum += apart * apart;
      }
      square += sum;
    }
    vec factor;
    for (int j = 0; j < LANES; j++) factor[j] = 1.0f / sqrtf(square[j] / n + eps);
    *(vec *)(rstd + lane) = factor;
    for (int64_t c = 0; c < channels; c++) {
      const float a = scale ? scale[c] : 1.0f, b = shift ? shift[c] : 0.0f;
      for (int64_t i = c * places; i < (c + 1) * places; i++) {
        const vec z = (*(vec *)(y + i * rows + lane) - mean) * factor, value = z * a + b;
        *(vec *)(y + i * rows + lane) = z;
        *(vec *)(out + i * rows + lane) = where_above(value, value);
      }
    }
  }
}

/* The gradient g of `out` becomes that of what was normalised; those of scale and shift are put beside it. */
static void unnormalise(int64_t channels, int64_t places, int64_t rows, const float *z, const float *rstd,
                        const float *scale, const float *out, float *g, float *gscale, float *gshift) {
  const int64_t n = channels * places;
  if (gscale) memset(gscale, 0, channels * sizeof(float)), memset(gshift, 0, channels * sizeof(float));
  for (int64_t lane = 0; lane < rows; lane += LANES) {
    vec mean = {}, along = {};
    for (int64_t c = 0; c < channels; c++) {
      const float a = scale ? scale[c] : 1.0f;
      vec sum = {}, product = {};
      for (int64_t i = c * places; i < (c + 1) * places; i++) {
        const vec value = *(const vec *)(out + i * rows + lane);
        const vec given = where_above(value, *(vec *)(g + i * rows + lane));
        sum += given;
        product += given * *(const vec *)(z + i * rows + lane);
        *(vec *)(g + i * rows + lane) = given * a;
      }
      if (gscale) gscale[c] += total(product), gshift[c] += total(sum);
      mean += sum * a;
      along += product * a;
    }
    mean /= (float)n;
    along /= (float)n;
    const vec factor = *(const vec *)(rstd + lane);
    for (int64_t i = 0; i < n; i++) {
      vec *at = (vec *)(g + i * rows + lane);
      *at = factor * (*at - mean - *(const vec *)(z + i * rows + lane) * along);
    }
  }
}

#define BLOCKS(o, all, call)                               \
  do {                                                     \
    int64_t o = 0;                                         \
    for (; o + BLOCK <= all; o += BLOCK) call(BLOCK);      \
    for (; o < all; o++) call(1);                          \
  } while (0)
#define OUTPUTS(call) BLOCKS(o, l->out, call)

void chain_forward(int64_t members, int64_t rows, int64_t layers, const layer *all, float eps, const float *x,
                   float **w, float **bias, float **scale, float **shift, float **z, float **rstd, float **out) {
  for (int64_t m = 0; m < members; m++)
    for (int64_t i = 0; i < layers; i++) {
      const layer *l = all + i;
      const int64_t places = l->out_height * l->out_width, n = l->out * places, size = l->in * l->height * l->width;
      const float *from = i ? out[i - 1] + m * size * rows : x + m * size * rows;
      const float *weight = w[i] + m * l->out * l->in * l->kernel * l->kernel;
      const float *b = bias[i] ? bias[i] + m * l->out : 0;
      float *to = z[i] + m * n * rows;
      if (rows % (2 * LANES)) {
#define CALL(n) convolve(l, rows, from, weight, b, to, o, n, 1)
        OUTPUTS(CALL);
#undef CALL
      } else {
#define CALL(n) convolve(l, rows, from, weight, b, to, o, n, 2)
        OUTPUTS(CALL);
#undef CALL
      }
      normalise(l->out, places, rows, eps, to, rstd[i] + m * rows, scale[i] ? scale[i] + m * l->out : 0,
                shift[i] ? shift[i] + m * l->out : 0, out[i] + m * n * rows);
    }
}

/* g: the gradient of the mean over the places of the last layer, (members, out, rows). Returns whether memory sufficed. */
int64_t chain_backward(int64_t members, int64_t rows, int64_t layers, const layer *all, const float *x, float **w,
                       float **scale, float **z, float **rstd, float **out, const float *g, float **gw, float **gbias,
                       float **gscale, float **gshift) {
  int64_t largest = 0, turned = 0;
  for (const layer *l = all; l < all + layers; l++) {
    const int64_t size = l->out * l->out_height * l->out_width * rows, needed = room(l, rows);
    largest = size > largest ? size : largest;
    turned = needed > turned ? needed : turned;
  }
  /* of one member after the other, so that it stays in the cache */
  float *memory = malloc((2 * largest + turned) * sizeof(float)), *work = memory + 2 * largest;
  if (!memory) return 0;
  for (int64_t m = 0; m < members; m++) {
    const layer *last = all + layers - 1;
    const int64_t ends = last->out_height * last->out_width;
    for (int64_t c = 0; c < last->out; c++)
      for (int64_t i = 0; i < ends; i++)
        for (int64_t row = 0; row < rows; row++)
          memory[(c * ends + i) * rows + row] = g[(m * last->out + c) * rows + row] / ends;
    float *given = memory, *gx = memory + largest;
    for (int64_t i = layers - 1; i >= 0; i--) {
      const layer *l = all + i;
      const int64_t places = l->out_height * l->out_width, n = l->out * places, size = l->in * l->height * l->width;
      const int64_t taps = l->in * l->kernel * l->kernel;
      const float *from = i ? out[i - 1] + m * size * rows : x + m * size * rows, *weight = w[i] + m * l->out * taps;
      float *gweight = gw[i] + m * l->out * taps;
      unnormalise(l->out, places, rows, z[i] + m * n * rows, rstd[i] + m * rows, scale[i] ? scale[i] + m * l->out : 0,
                  out[i] + m * n * rows, given, gscale[i] ? gscale[i] + m * l->out : 0,
                  gscale[i] ? gshift[i] + m * l->out : 0);
      if (gbias[i])
        for (int64_t c = 0; c < l->out; c++) {
          vec sum = {};
          for (int64_t j = 0; j < places * rows; j += LANES) sum += *(vec *)(given + c * places * rows + j);
          gbias[i][m * l->out + c] = total(sum);
        }
      if (room(l, rows)) {
        float *part = work + size * rows;
        turn(l, rows, from, work);
        if (l->in % (2 * LANES)) {
#define CALL(n) weigh_turned(l, rows, work, given, gweight, part, o, n, 1)
          OUTPUTS(CALL);
#undef CALL
        } else {
#define CALL(n) weigh_turned(l, rows, work, given, gweight, part, o, n, 2)
          OUTPUTS(CALL);
#undef CALL
        }
      } else if (l->kernel == LINE) {
#define CALL(n) weigh(l, rows, from, given, gweight, o, n, LINE)
        OUTPUTS(CALL);
#undef CALL
      } else {
#define CALL(n) weigh(l, rows, from, given, gweight, o, n, 1)
        OUTPUTS(CALL);
#undef CALL
      }
      if (!i) continue;
      if (rows % (2 * LANES)) {
#define CALL(n) hand_on(l, rows, given, weight, gx, c, n, 1)
        BLOCKS(c, l->in, CALL);
#undef CALL
      } else {
#define CALL(n) hand_on(l, rows, given, weight, gx, c, n, 2)
        BLOCKS(c, l->in, CALL);
#undef CALL
      }
      float *other = given;
      given = gx, gx = other;
    }
  }
  free(memory);
  return 1;
}
