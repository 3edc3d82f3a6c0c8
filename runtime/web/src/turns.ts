/** Groups of candidates that are measured interleaved, and the order of rounds. */

import type { Candidate } from "./wire";

type Racer = Pick<Candidate, "key" | "backend" | "baseline">;

/** Candidates that are loaded together: those with a row, and baselines. */
export interface Party<T> {
  members: T[];
  company: T[];
}

/**
 * The first of `waiting` and the following ones on its backend, each with its baseline from `offered`; at most `atOnce` of them.
 * Candidates that failed beside others (`alone`: keys) are measured alone.
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

/** One round forward, one backward, then starting from the next: `order` of `runtime/latency/race.py`. */
export function order<T>(all: readonly T[], round: number): T[] {
  const shift = Math.floor(round / 2) % all.length;
  const turned = [...all.slice(shift), ...all.slice(0, shift)];
  return round % 2 ? turned.reverse() : turned;
}

/**
 * Maximum MiB of a group's heaps, above which no further candidate is loaded: a quarter of the reported memory. Browsers that
 * do not report it include some on phones.
 */
export function budgetMib(memoryGib: number | null): number {
  return memoryGib === null ? 512 : 256 * memoryGib;
}
