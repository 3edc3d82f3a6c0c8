/** An output picture against a golden one, both 8 bits: the figures of `runtime/parity.py`. */

import type { Picture } from "./pixels";
import type { Parity, Tolerance } from "./wire";

/** Side of the blocks whose mean differences are limited. */
const BLOCK = 16;
const LEAST_DB = -200;

/** `grid`: output pixels per input pixel, in each direction. */
export function compare(output: Picture, golden: Picture, grid: number): Parity {
  if (output.width !== golden.width || output.height !== golden.height) {
    throw new Error(
      `the output has ${output.width}x${output.height} pixels, the golden picture ${golden.width}x${golden.height}`,
    );
  }
  const n = output.data.length;
  if (n !== golden.data.length) throw new Error(`the output has ${n} values, the golden picture ${golden.data.length}`);
  const colors = n / (golden.width * golden.height);
  const difference = new Float64Array(n);
  let sum = 0;
  let squares = 0;
  let largest = 0;
  let equal = 0;
  for (let i = 0; i < n; i++) {
    const signed = output.data[i]! - golden.data[i]!;
    difference[i] = signed;
    sum += Math.abs(signed);
    squares += signed * signed;
    if (Math.abs(signed) > largest) largest = Math.abs(signed);
    if (signed === 0) equal += 1;
  }
  const { width, height } = golden;
  const rows = Math.max(1, Math.floor(height / BLOCK));
  const columns = Math.max(1, Math.floor(width / BLOCK));
  const block = (at: number, count: number): number => Math.min(count - 1, Math.floor(at / BLOCK));
  return {
    psnr_db: squares ? 10 * Math.log10((255 * 255 * n) / squares) : null,
    max_abs: largest,
    mean_lsb: sum / n,
    exact_share: equal / n,
    block_lsb: largestMean(difference, width, colors, rows * columns, (x, y) => block(y, rows) * columns + block(x, columns)),
    grid_lsb: largestMean(difference, width, colors, grid * grid, (x, y) => (y % grid) * grid + (x % grid)),
    sqnr_db: squares ? ratioDb(variance(golden, colors), squares / n) : null,
  };
}

/** The largest absolute mean, over colors and over the `count` groups into which `of` divides the pixels. */
function largestMean(
  difference: Float64Array,
  width: number,
  colors: number,
  count: number,
  of: (x: number, y: number) => number,
): number {
  const sums = new Float64Array(count * colors);
  const sizes = new Float64Array(count);
  for (let pixel = 0; pixel * colors < difference.length; pixel++) {
    const group = of(pixel % width, Math.floor(pixel / width));
    sizes[group] = sizes[group]! + 1;
    for (let color = 0; color < colors; color++) {
      const at = group * colors + color;
      sums[at] = sums[at]! + difference[pixel * colors + color]!;
    }
  }
  let largest = 0;
  sums.forEach((sum, at) => {
    largest = Math.max(largest, Math.abs(sum / sizes[Math.floor(at / colors)]!));
  });
  return largest;
}

/** The mean variance of the colors. */
function variance(picture: Picture, colors: number): number {
  const count = picture.data.length / colors;
  let total = 0;
  for (let color = 0; color < colors; color++) {
    let sum = 0;
    for (let i = color; i < picture.data.length; i += colors) sum += picture.data[i]!;
    const mean = sum / count;
    for (let i = color; i < picture.data.length; i += colors) total += (picture.data[i]! - mean) ** 2;
  }
  return total / (count * colors);
}

function ratioDb(signal: number, noise: number): number {
  return signal ? Math.max(LEAST_DB, 10 * Math.log10(signal / noise)) : LEAST_DB;
}

/** The exceeded limits of an output; empty if there are none. */
export function failures(found: Parity, limits: Tolerance): string[] {
  const psnr = found.psnr_db ?? Infinity;
  const sqnr = found.sqnr_db ?? Infinity;
  const share = limits.min_exact_share;
  const checks: [number | null, number, number, string][] = [
    [limits.max_abs, found.max_abs, 1, `largest difference ${found.max_abs} levels, allowed ${limits.max_abs}`],
    [limits.mean_lsb, found.mean_lsb, 1, `mean difference ${digits(found.mean_lsb)} levels, allowed ${limits.mean_lsb}`],
    [limits.min_psnr_db, psnr, -1, `PSNR ${psnr.toFixed(2)} dB, expected at least ${limits.min_psnr_db}`],
    [share, found.exact_share, -1, `${(found.exact_share * 100).toFixed(2)} % of the values are equal, expected ${share}`],
    [limits.max_block_lsb, found.block_lsb, 1, `${digits(found.block_lsb)} levels off in a block of 16x16 pixels`],
    [limits.max_grid_lsb, found.grid_lsb, 1, `${digits(found.grid_lsb)} levels off in one grid of pixels`],
    [limits.min_sqnr_db, sqnr, -1, `${sqnr.toFixed(2)} dB relative to the picture's own variance`],
  ];
  return checks
    .filter(([limit, value, sign]) => limit !== null && !(sign * value <= sign * limit))
    .map(([, , , words]) => words);
}

function digits(value: number): string {
  return value.toPrecision(4);
}
