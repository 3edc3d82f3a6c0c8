/**
 * Workers that were told to end, until they have. A browser ends a worker some time after `terminate`; whoever loads the next
 * runtime at once may have both in memory.
 *
 * A worker holds a lock of its own (Web Locks) for as long as it lives. Where a page has no locks (they need https or
 * localhost) nothing tells that a worker has ended, and nobody waits.
 */

const LONGEST_MS = 5000;
const leaving = new Set<Promise<void>>();

/** A name that no other worker has. */
export function newName(): string {
  return `clearport-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
}

/** In a worker: be seen for as long as it lives. */
export function beSeen(): void {
  if ("locks" in navigator) navigator.locks.request(self.name, () => new Promise(() => {})).catch(() => {});
}

/** The worker of this name was told to end. */
export function leaves(name: string): void {
  if (!("locks" in navigator)) return;
  const gone = navigator.locks
    .request(name, { signal: AbortSignal.timeout(LONGEST_MS) }, () => {})
    .catch(() => {}) // it takes too long, or locks are not allowed here: the next one shall not fail for that
    .finally(() => leaving.delete(gone));
  leaving.add(gone);
}

/** All that were told to end have, or took too long. */
export async function allGone(): Promise<void> {
  await Promise.all(leaving);
}
