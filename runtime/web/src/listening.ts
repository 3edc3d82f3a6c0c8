/** Captures a runtime's console output, for error messages and for facts that only its log has. */

const KEPT = 4000;

export class Listening {
  lines: string[] = [];

  /** Replace the console's functions; call it before loading a runtime, which keeps its own references. */
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

  /** The last error, without colors and time stamps; empty if there was none. */
  lastComplaint(): string {
    const found = this.lines.findLast((line) => /\berror\b|\bfail|\[E:|unsupported/i.test(line)) ?? "";
    return found.replace(/\u001b\[[\d;]*m/g, "").replace(/^[\d: .-]+(?=\[)/, "").slice(0, 500);
  }
}
