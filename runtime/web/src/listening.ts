/** What a runtime writes to the console: kept instead of shown, for messages and for what only its log tells. */

const KEPT = 4000;

export class Listening {
  lines: string[] = [];

  /** Take over the console; to be called before a runtime is loaded, which keeps its own reference. */
  constructor() {
    const listen = (...said: unknown[]): void => {
      for (const line of said.join(" ").split("\n")) if (line.trim()) this.lines.push(line);
      if (this.lines.length > 2 * KEPT) this.lines.splice(0, this.lines.length - KEPT);
    };
    Object.assign(console, { log: listen, warn: listen, error: listen, info: listen, debug: listen });
  }

  forget(): void {
    this.lines = [];
  }

  /** The last complaint, without colors and time stamps; empty where there was none. */
  lastComplaint(): string {
    const found = this.lines.findLast((line) => /\berror\b|\bfail|\[E:|unsupported/i.test(line)) ?? "";
    return found.replace(/\u001b\[[\d;]*m/g, "").replace(/^[\d: .-]+(?=\[)/, "").slice(0, 500);
  }
}
