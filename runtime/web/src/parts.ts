/** The files of a system's parts, which a program calls, each in a runtime in its own worker. */

import type { Feeds } from "./engine";
import type { Tensors } from "./program";
import { download } from "./server";
import { Session } from "./session";
import { ofValues, toValues } from "./values";
import type { Way } from "./wire";

export class OpenParts {
  /** Number of calls of each part, and their total time in ms, including the transfer of tensors. */
  readonly times: Record<string, { calls: number; ms: number }> = {};
  private readonly sessions: Record<string, Session> = {};

  constructor(
    readonly way: Way,
    timeoutS: number,
  ) {
    for (const name of Object.keys(way.parts)) this.sessions[name] = new Session(way.runner, timeoutS);
  }

  /** Load every file; rejects if a runtime refuses one, or if closed meanwhile. */
  async open(threads: number): Promise<void> {
    const { unit, backend, parts } = this.way;
    for (const [name, { url }] of Object.entries(parts)) {
      await this.sessions[name]!.open({ model: await download(url), unit, backend, threads, input: null });
    }
  }

  /** Forget the times of an earlier run. */
  begin(): void {
    for (const name of Object.keys(this.sessions)) this.times[name] = { calls: 0, ms: 0 };
  }

  /** Run a part; real values in and out. */
  readonly call = async (part: string, given: Tensors): Promise<Tensors> => {
    const began = performance.now();
    const file = this.way.parts[part]!;
    const inputs: Feeds = {};
    for (const spec of file.inputs) inputs[spec.name] = ofValues(given[spec.name]!, spec);
    const { outputs } = await this.sessions[part]!.ask<"named">({ call: "named", inputs });
    const found: Tensors = {};
    for (const spec of file.outputs) {
      const raw = outputs[spec.name];
      if (!raw) throw new Error(`part '${part}' has outputs ${Object.keys(outputs).join(", ")}, but not '${spec.name}'`);
      found[spec.name] = toValues(raw, spec);
    }
    const times = (this.times[part] ??= { calls: 0, ms: 0 });
    times.calls += 1;
    times.ms += performance.now() - began;
    return found;
  };

  close(): void {
    for (const session of Object.values(this.sessions)) session.close();
  }
}
