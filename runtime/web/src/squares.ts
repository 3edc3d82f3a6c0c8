/** Picture operations of program steps on (1, C, H, W), as in `core/programs/squares.py`. */

import { rint } from "./pixels";
import { count, type Tensor, told } from "./program";

const f = Math.fround;

/** The nonzero weights of a line's pixels for one pixel of the resized line. */
interface Taps {
  from: number;
  shares: Float32Array;
}

/** Bilinear with half-pixel centers; when downscaling, the triangle filter is scaled by the factor. */
export function resized(picture: Tensor, [tall, wide]: readonly [number, number]): Tensor {
  const [, channels, height, width] = picture.shape as [number, number, number, number];
  const [down, across] = [tapsOf(height, tall), tapsOf(width, wide)];
  const data = new Float32Array(channels * tall * wide);
  const line = new Float64Array(width);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < tall; y++) {
      line.fill(0);
      const { from, shares } = down[y]!;
      shares.forEach((share, i) => {
        const row = (c * height + from + i) * width;
        for (let x = 0; x < width; x++) line[x]! += share * picture.data[row + x]!;
      });
      const to = (c * tall + y) * wide;
      for (let x = 0; x < wide; x++) {
        const taps = across[x]!;
        let sum = 0;
        for (let i = 0; i < taps.shares.length; i++) sum += taps.shares[i]! * line[taps.from + i]!;
        data[to + x] = sum;
      }
    }
  }
  return { shape: [1, channels, tall, wide], data };
}

function tapsOf(have: number, want: number): Taps[] {
  const step = have / want;
  const reach = Math.max(1, step);
  return Array.from({ length: want }, (_, at) => {
    const center = (at + 0.5) * step - 0.5;
    const from = Math.max(0, Math.ceil(center - reach));
    const to = Math.min(have - 1, Math.floor(center + reach));
    const shares = Array.from({ length: to - from + 1 }, (_, i) => Math.max(0, 1 - Math.abs(center - from - i) / reach));
    const sum = shares.reduce((total, share) => total + share, 0);
    return { from, shares: Float32Array.from(shares, (share) => share / sum) };
  });
}

/** A map (1, 1, H, W) of `size`; points (N, 3) are in pixels of a picture of size `of`. */
export function discs(points: Tensor, size: readonly [number, number], of: readonly [number, number], radius: number): Tensor {
  if (points.shape.length !== 2 || points.shape[1] !== 3) throw new Error(`expected points (N, 3), got ${told(points.shape)}`);
  const [height, width] = size;
  const data = new Float32Array(height * width);
  for (let at = 0; at < points.data.length; at += 3) {
    const [right, down, sign] = [points.data[at]!, points.data[at + 1]!, Math.sign(points.data[at + 2]!)];
    const centerY = ((down + 0.5) * height) / of[0] - 0.5;
    const centerX = ((right + 0.5) * width) / of[1] - 0.5;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if ((y - centerY) ** 2 + (x - centerX) ** 2 <= radius ** 2) data[y * width + x] = sign;
      }
    }
  }
  return { shape: [1, 1, height, width], data };
}

/** Positions (`many`, 2) of the squares with the largest sums of a map (1, 1, H, W). */
export function top(values: Tensor, side: number, many: number): Tensor {
  const [, channels, height, width] = values.shape as [number, number, number, number];
  if (channels !== 1 || side > Math.min(height, width)) throw new Error(`squares of ${side} of a map ${told(values.shape)}`);
  const [rows, columns] = [grid(height, side), grid(width, side)];
  const left = Float64Array.from(values.data);
  const found: [number, number][] = [];
  for (let n = 0; n < many; n++) {
    const best = largest(sumsOf(left, height, width), rows, columns, side, width + 1);
    const [y, x] = best.sum <= 0 && found.length ? found[0]! : best.place;
    found.push([y, x]);
    for (let i = 0; i < side; i++) left.fill(0, (y + i) * width + x, (y + i) * width + x + side);
  }
  return { shape: [many, 2], data: Float32Array.from(found.flat()) };
}

function grid(length: number, side: number): number[] {
  const places: number[] = [];
  for (let at = 0; at <= length - side; at += Math.max(1, side >> 1)) places.push(at);
  return places.at(-1) === length - side ? places : [...places, length - side];
}

/** The summed-area table (H + 1, W + 1): columns first, then rows, in NumPy's order of additions. */
function sumsOf(values: Float64Array, height: number, width: number): Float64Array {
  const wide = width + 1;
  const table = new Float64Array((height + 1) * wide);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) table[(y + 1) * wide + x + 1] = table[y * wide + x + 1]! + values[y * width + x]!;
  }
  for (let y = 1; y <= height; y++) {
    for (let x = 2; x <= width; x++) table[y * wide + x]! += table[y * wide + x - 1]!;
  }
  return table;
}

function largest(table: Float64Array, rows: number[], columns: number[], side: number, wide: number): { sum: number; place: [number, number] } {
  let best: { sum: number; place: [number, number] } | null = null;
  for (const y of rows) {
    for (const x of columns) {
      const [above, below] = [y * wide + x, (y + side) * wide + x];
      const sum = table[below + side]! - table[above + side]! - table[below]! + table[above]!;
      if (best === null || sum > best.sum) best = { sum, place: [y, x] };
    }
  }
  return best!;
}

/** The square at `place` (top, left). */
export function crop(picture: Tensor, place: Tensor, side: number): Tensor {
  const [, channels, height, width] = picture.shape as [number, number, number, number];
  const [down, right] = placed(picture, place, side, side);
  const data = new Float32Array(channels * side * side);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < side; y++) {
      const from = (c * height + down + y) * width + right;
      data.set(picture.data.subarray(from, from + side), (c * side + y) * side);
    }
  }
  return { shape: [1, channels, side, side], data };
}

/** `onto` with `value` pasted at `place`, blended in over `fade` pixels from its borders. */
export function paste(onto: Tensor, value: Tensor, place: Tensor, fade: number): Tensor {
  const [, channels, height, width] = value.shape as [number, number, number, number];
  const [, under, tall, wide] = onto.shape as [number, number, number, number];
  const [down, right] = placed(onto, place, height, width);
  if (channels !== under) throw new Error(`${channels} channels pasted onto ${under}`);
  const [rows, columns] = [ramp(height, fade), ramp(width, fade)];
  const data = onto.data.slice();
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const to = (c * tall + down + y) * wide + right;
      for (let x = 0; x < width; x++) {
        const [below, above] = [data[to + x]!, value.data[(c * height + y) * width + x]!];
        data[to + x] = below + f(Math.min(rows[y]!, columns[x]!) * f(above - below));
      }
    }
  }
  return { shape: onto.shape, data };
}

/** From 0 at both borders to 1 after `fade` pixels. */
function ramp(length: number, fade: number): Float32Array {
  return Float32Array.from({ length }, (_, at) => Math.min(1, (Math.min(at, length - 1 - at) + 1) / (fade + 1)));
}

function placed(picture: Tensor, place: Tensor, tall: number, wide: number): [number, number] {
  if (place.shape.length !== 1 || count(place.shape) !== 2) throw new Error(`expected a position (2,), got ${told(place.shape)}`);
  const [down, right] = [rint(place.data[0]!), rint(place.data[1]!)];
  const fits = down >= 0 && right >= 0 && down + tall <= picture.shape[2]! && right + wide <= picture.shape[3]!;
  if (!fits) throw new Error(`a square of (${tall}, ${wide}) at ${down}, ${right} of a picture ${told(picture.shape.slice(2))}`);
  return [down, right];
}
