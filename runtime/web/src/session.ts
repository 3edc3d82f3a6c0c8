/** An artifact in a runtime in a worker of its own: what crashes or hangs takes nothing else with it. */

import type { Answers, Opening, Question, Reply } from "./engine";
import type { Runner } from "./wire";

const SCRIPTS: Record<Runner, [string, WorkerType]> = {
  "onnxruntime-web": ["worker_onnxruntime.js", "module"],
  "litert-js": ["worker_litert.js", "classic"],
};

/** The folder that the page and the runtimes' files are in. */
export const BASE = new URL(".", location.href).href;

export class Stopped extends Error {}
export class TimedOut extends Error {}

export class Session {
  private readonly worker: Worker;
  private fail: ((reason: Error) => void) | null = null;
  /** Why there is nobody to ask any more. */
  private over: Error | null = null;

  constructor(
    runner: Runner,
    private readonly timeoutS: number,
  ) {
    const [script, type] = SCRIPTS[runner];
    this.worker = new Worker(BASE + script, { type });
    this.worker.onerror = (event) => this.end(new Error(event.message || "the runtime's worker crashed"));
  }

  open(opening: Omit<Opening, "base">): Promise<Answers["open"]> {
    return this.ask<"open">({ call: "open", opening: { ...opening, base: BASE } });
  }

  /** One question at a time. Rejects when the runtime fails, the worker crashes, or the time is over. */
  ask<T extends Question["call"]>(question: Extract<Question, { call: T }>): Promise<Answers[T]> {
    if (this.over) return Promise.reject(this.over);
    return new Promise((resolve, reject) => {
      const late = (): void => this.fail?.(new TimedOut(`no answer to '${question.call}' within ${this.timeoutS} s`));
      const timer = setTimeout(late, this.timeoutS * 1000);
      this.fail = (reason) => {
        clearTimeout(timer);
        this.fail = null;
        this.worker.terminate();
        reject(reason);
      };
      this.worker.onmessage = (event: MessageEvent<Reply>) => {
        clearTimeout(timer);
        this.fail = null;
        if ("error" in event.data) reject(new Error(event.data.error));
        else resolve(event.data.result as Answers[T]);
      };
      this.worker.postMessage(question);
    });
  }

  /** End the worker; a question that waits for its answer is rejected. */
  close(): void {
    this.end(new Stopped("stopped"));
    this.worker.terminate();
  }

  private end(reason: Error): void {
    this.over ??= reason;
    this.fail?.(reason);
  }
}
