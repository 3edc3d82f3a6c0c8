/** An output that is no picture against a golden one: the figures of `runtime/parity_values.py` for maps and vectors. */

import { type Tensor, told } from "./program";
import type { Tolerance } from "./wire";

export interface ValuesParity {
  /** null: both are equal. */
  sqnr_db: number | null;
  max_abs: number;
  /** The largest difference, as a share of the largest golden number. */
  relative: number;
}

const LEAST_DB = -200;

export function compareValues(found: Tensor, golden: Tensor): ValuesParity {
  if (told(found.shape) !== told(golden.shape)) throw new Error(`the output is ${told(found.shape)}, the golden one ${told(golden.shape)}`);
  const n = golden.data.length;
  let [sum, squares, errors, farthest, peak] = [0, 0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [wanted, given] = [golden.data[i]!, found.data[i]!];
    if (!Number.isFinite(given)) throw new Error("the output holds numbers that are not finite");
    sum += wanted;
    squares += wanted * wanted;
    errors += (given - wanted) ** 2;
    farthest = Math.max(farthest, Math.abs(given - wanted));
    peak = Math.max(peak, Math.abs(wanted));
  }
  const variance = squares / n - (sum / n) ** 2;
  const signal = variance > 0 ? variance : squares / n; // of a constant signal: its square
  const relative = peak ? farthest / peak : farthest ? Infinity : 0;
  const sqnr = signal ? Math.max(LEAST_DB, 10 * Math.log10((signal * n) / errors)) : LEAST_DB;
  return { sqnr_db: errors ? sqnr : null, max_abs: farthest, relative };
}

/** Why an output is not within its limits; empty: it is. */
export function valueFailures(found: ValuesParity, limits: Tolerance): string[] {
  const wrong: string[] = [];
  const { min_sqnr_db: least, max_relative: most, max_abs: farthest } = limits;
  if (least !== null && !((found.sqnr_db ?? Infinity) >= least)) wrong.push(`SQNR ${found.sqnr_db?.toFixed(2)} dB, expected at least ${least}`);
  if (most !== null && !(found.relative <= most)) wrong.push(`largest difference ${found.relative.toPrecision(4)} of the largest number, allowed ${most}`);
  if (farthest !== null && !(found.max_abs <= farthest)) wrong.push(`largest difference ${found.max_abs.toPrecision(4)}, allowed ${farthest}`);
  return wrong;
}
