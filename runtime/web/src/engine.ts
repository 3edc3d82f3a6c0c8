/** Requests to a runtime's worker, and its answers. */

import { heapMib, watchHeaps } from "./heap";
import { beSeen } from "./leaving";
import type { Listening } from "./listening";
import type { Values } from "./pixels";
import type { Backend, TensorSpec, Unit } from "./wire";

export interface Opening {
  model: Uint8Array;
  unit: Unit;
  backend: Backend;
  threads: number;
  /** URL of the folder with the runtime's files. */
  base: string;
  /** Its input, if that is a single picture. */
  input: TensorSpec | null;
}

export interface Facts {
  unit_ran: string;
  threads: number;
  runtime_versions: Record<string, string>;
  operators_per_unit: Record<string, Record<string, number>>;
  facts: Record<string, string | number | boolean>;
}

/** Raw tensors by their names in the file. */
export type Feeds = Record<string, { values: Values; shape: number[] }>;

/** A runtime with one loaded artifact. */
export interface Engine {
  /** Load the runtime's library; returns what emulates the hardware, null for real hardware. */
  load(opening: Opening): Promise<string | null>;
  /** Load the artifact. */
  open(opening: Opening): Promise<void>;
  /** One inference, copies of the input and the output included. */
  run(input: Values, shape: number[]): Promise<Values>;
  /** One inference of a file with several inputs or outputs, by name. */
  runNamed(inputs: Feeds): Promise<Feeds>;
  /** The runtime's facts. */
  facts(): Promise<Facts>;
}

export interface Answers {
  open: { library_ms: number; init_ms: number; emulated: string | null };
  run: { output: Values; ms: number; heap_mib: number | null };
  named: { outputs: Feeds };
  measure: { samples_ms: number[] };
  facts: Facts & { heap_mib: number | null };
}

export type Question =
  | { call: "open"; opening: Opening }
  | { call: "run"; input: Values; shape: number[] }
  | { call: "named"; inputs: Feeds }
  | { call: "measure"; input: Values; shape: number[]; samples: number; inferences: number }
  | { call: "facts" };

export type Reply = { result: Answers[keyof Answers] } | { error: string };

async function answer(engine: Engine, question: Question): Promise<Answers[keyof Answers]> {
  const began = performance.now();
  switch (question.call) {
    case "open": {
      const emulated = await engine.load(question.opening);
      const loaded = performance.now();
      await engine.open(question.opening);
      return { library_ms: loaded - began, init_ms: performance.now() - loaded, emulated };
    }
    case "run": {
      const output = await engine.run(question.input, question.shape);
      return { output, ms: performance.now() - began, heap_mib: heapMib() };
    }
    case "named":
      return { outputs: await engine.runNamed(question.inputs) };
    case "measure": {
      const samples: number[] = [];
      for (let i = 0; i < question.samples; i++) {
        const start = performance.now();
        for (let k = 0; k < question.inferences; k++) await engine.run(question.input, question.shape);
        samples.push((performance.now() - start) / question.inferences);
      }
      return { samples_ms: samples };
    }
    case "facts": {
      const heap_mib = heapMib();
      return { ...(await engine.facts()), heap_mib };
    }
  }
}

/** The runtime's error message. */
function words(error: unknown, listening: Listening): string {
  const said = error instanceof Error ? error.message || error.name : `exception ${String(error)}`;
  const complaint = typeof error === "number" || said.length < 12 ? listening.lastComplaint() : "";
  return [said.trim(), complaint].filter(Boolean).join(": ");
}

/** Answer the page's requests sequentially. */
export function serve(engine: Engine, listening: Listening): void {
  beSeen();
  watchHeaps();
  addEventListener("message", async (event: MessageEvent<Question>) => {
    let reply: Reply;
    try {
      reply = { result: await answer(engine, event.data) };
    } catch (error) {
      reply = { error: words(error, listening) };
    }
    postMessage(reply);
  });
}
