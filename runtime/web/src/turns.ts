/** Who is measured with whom, and in which order they take turns. */

import type { Candidate } from "./wire";

type Racer = Pick<Candidate, "key" | "backend" | "baseline">;

/** Candidates that are loaded together: those that get a row, and those that are there to be compared with. */
export interface Party<T> {
  members: T[];
  company: T[];
}

/**
 * The first of `waiting` and those after it on its backend, each with its baseline from all that are `offered`; `atOnce` of
 * them at most. Who failed in company is measured alone, and asked into nobody's company (`alone`: keys).
 */
export function nextParty<T extends Racer>(
  waiting: readonly T[],
  offered: readonly T[],
  atOnce: number,
  alone: ReadonlySet<string>,
): Party<T> {
  const first = waiting[0]!;
  if (alone.has(first.key)) return { members: [first], company: [] };
  const members: T[] = [];
  const company: T[] = [];
  for (const next of waiting) {
    if (next.backend !== first.backend || alone.has(next.key) || members.includes(next)) continue;
    const present = [...members, ...company];
    const baseline = offered.find((other) => other.key === next.baseline && !alone.has(other.key));
    const missing = baseline && !present.includes(baseline) ? [baseline] : [];
    if (present.length && present.length + 1 + missing.length > atOnce) break;
    members.push(next);
    for (const other of missing) (waiting.includes(other) ? members : company).push(other);
  }
  return { members, company };
}

/** A round forwards, one backwards, and again from the next: `order` of `runtime/latency/race.py`. */
export function order<T>(all: readonly T[], round: number): T[] {
  const shift = Math.floor(round / 2) % all.length;
  const turned = [...all.slice(shift), ...all.slice(0, shift)];
  return round % 2 ? turned.reverse() : turned;
}

/**
 * MiB that the heaps of a party may take before nobody else is let in: a quarter of the memory that the device says it
 * has. Browsers that do not say are those of some phones, too.
 */
export function budgetMib(memoryGib: number | null): number {
  return memoryGib === null ? 512 : 256 * memoryGib;
}
