/** An output of a program against the golden one, by the measure of its kind. */

import { compare, failures } from "./parity";
import { compareValues, valueFailures } from "./parity_values";
import type { ProgramOutput, Tensor } from "./program";
import { toLevels } from "./values";
import type { Tolerance } from "./wire";

export interface Verdict {
  /** Why it is not within its limits; empty: it is. */
  wrong: string[];
  /** How far it is from the golden output, for people. */
  said: string;
}

export function judged({ name, kind, low, high }: ProgramOutput, found: Tensor, golden: Tensor, limits: Tolerance): Verdict {
  if (kind !== "picture") {
    const parity = compareValues(found, golden);
    return { wrong: valueFailures(parity, limits), said: parity.sqnr_db === null ? "equal" : `SQNR ${parity.sqnr_db.toFixed(1)} dB` };
  }
  const parity = compare(toLevels(found, name, low, high), toLevels(golden, name, low, high), 1);
  const psnr = parity.psnr_db === null ? "equal to the level" : `PSNR ${parity.psnr_db.toFixed(1)} dB`;
  return { wrong: failures(parity, limits), said: `largest difference ${parity.max_abs} levels, ${psnr}` };
}
