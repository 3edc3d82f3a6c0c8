/**
 * Terminating workers. A browser ends a worker some time after `terminate`; if the next runtime is loaded immediately, both may
 * be in memory.
 *
 * A worker holds its own lock (Web Locks) while it lives. Without locks (they need https or localhost) the end of a worker
 * cannot be detected, and is not awaited.
 */

const LONGEST_MS = 5000;
const leaving = new Set<Promise<void>>();

/** A unique name of a worker. */
export function newName(): string {
  return `clearport-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;
}

/** In a worker: hold its lock while it lives. */
export function beSeen(): void {
  if ("locks" in navigator) navigator.locks.request(self.name, () => new Promise(() => {})).catch(() => {});
}

/** The worker of this name was terminated. */
export function leaves(name: string): void {
  if (!("locks" in navigator)) return;
  const gone = navigator.locks
    .request(name, { signal: AbortSignal.timeout(LONGEST_MS) }, () => {})
    .catch(() => {}) // a timeout, or locks are not allowed: the next worker must not fail for that
    .finally(() => leaving.delete(gone));
  leaving.add(gone);
}

/** Resolves when all terminated workers have ended, or after a timeout. */
export async function allGone(): Promise<void> {
  await Promise.all(leaving);
}
