/** An output picture against a golden one, both 8 bits: the figures of `runtime/parity.py`. */

import type { Picture } from "./pixels";
import type { Parity, Tolerance } from "./wire";

export function compare(output: Picture, golden: Picture): Parity {
  if (output.width !== golden.width || output.height !== golden.height) {
    throw new Error(
      `the output has ${output.width}x${output.height} pixels, the golden picture ${golden.width}x${golden.height}`,
    );
  }
  let sum = 0;
  let squares = 0;
  let largest = 0;
  let equal = 0;
  for (let i = 0; i < output.data.length; i++) {
    const difference = Math.abs(output.data[i]! - golden.data[i]!);
    sum += difference;
    squares += difference * difference;
    if (difference > largest) largest = difference;
    if (difference === 0) equal += 1;
  }
  const n = output.data.length;
  return {
    psnr_db: squares ? 10 * Math.log10((255 * 255 * n) / squares) : null,
    max_abs: largest,
    mean_lsb: sum / n,
    exact_share: equal / n,
  };
}

/** Why an output is not within its limits; empty: it is. */
export function failures(found: Parity, limits: Tolerance): string[] {
  const psnr = found.psnr_db ?? Infinity;
  const wrong: string[] = [];
  if (limits.max_abs !== null && !(found.max_abs <= limits.max_abs)) {
    wrong.push(`largest difference ${found.max_abs} levels, allowed ${limits.max_abs}`);
  }
  if (limits.mean_lsb !== null && !(found.mean_lsb <= limits.mean_lsb)) {
    wrong.push(`mean difference ${found.mean_lsb.toPrecision(4)} levels, allowed ${limits.mean_lsb}`);
  }
  if (limits.min_psnr_db !== null && !(psnr >= limits.min_psnr_db)) {
    wrong.push(`PSNR ${psnr.toFixed(2)} dB, expected at least ${limits.min_psnr_db}`);
  }
  if (limits.min_exact_share !== null && !(found.exact_share >= limits.min_exact_share)) {
    wrong.push(`${(found.exact_share * 100).toFixed(2)} % of the values are equal, expected ${limits.min_exact_share * 100} %`);
  }
  return wrong;
}
