/** An artifact in a runtime in its own worker, so that crashes and hangs affect nothing else. */

import type { Answers, Opening, Question, Reply } from "./engine";
import { allGone, leaves, newName } from "./leaving";
import type { Runner } from "./wire";

const SCRIPTS: Record<Runner, [string, WorkerType]> = {
  "onnxruntime-web": ["worker_onnxruntime.js", "module"],
  "litert-js": ["worker_litert.js", "classic"],
};

/** The folder of the page and of the runtimes' files. */
export const BASE = new URL(".", location.href).href;

export class Stopped extends Error {}
export class TimedOut extends Error {}

export class Session {
  private readonly name = newName();
  private worker: Worker | null = null;
  private fail: ((reason: Error) => void) | null = null;
  /** The reason that the worker has ended. */
  private over: Error | null = null;

  constructor(
    private readonly runner: Runner,
    private readonly timeoutS: number,
  ) {}

  /** Load an artifact, after previously closed workers have ended. */
  async open(opening: Omit<Opening, "base">): Promise<Answers["open"]> {
    await allGone();
    if (!this.over) this.worker = this.newWorker();
    return this.ask<"open">({ call: "open", opening: { ...opening, base: BASE } });
  }

  /** One request at a time. Rejects if the runtime fails, the worker crashes, or on timeout. */
  ask<T extends Question["call"]>(question: Extract<Question, { call: T }>): Promise<Answers[T]> {
    const { worker } = this;
    if (!worker) return Promise.reject(this.over ?? new Error(`'${question.call}' before 'open'`));
    return new Promise((resolve, reject) => {
      const late = (): void => this.end(new TimedOut(`no answer to '${question.call}' within ${this.timeoutS} s`));
      const timer = setTimeout(late, this.timeoutS * 1000);
      this.fail = (reason) => {
        clearTimeout(timer);
        reject(reason);
      };
      worker.onmessage = (event: MessageEvent<Reply>) => {
        clearTimeout(timer);
        this.fail = null;
        if ("error" in event.data) reject(new Error(event.data.error));
        else resolve(event.data.result as Answers[T]);
      };
      worker.postMessage(question);
    });
  }

  /** End the worker; a pending request is rejected. */
  close(): void {
    this.end(new Stopped("stopped"));
  }

  private newWorker(): Worker {
    const [script, type] = SCRIPTS[this.runner];
    const worker = new Worker(BASE + script, { type, name: this.name });
    worker.onerror = (event) => this.end(new Error(event.message || "the runtime's worker crashed"));
    return worker;
  }

  private end(reason: Error): void {
    if (this.over) return;
    this.over = reason;
    this.fail?.(reason);
    this.fail = null;
    if (!this.worker) return;
    this.worker.terminate();
    this.worker = null;
    leaves(this.name);
  }
}
