/** Programs as data: `core/programs/program.py` documents each step, and has validated what the server sends. */

export interface ProgramInput {
  name: string;
  kind: "picture" | "noise" | "points" | "values";
  /** A named axis may have any size; equal names are equal sizes. */
  shape: (number | string)[];
  low: number;
  high: number;
  /** Value of all elements if it is not given. */
  default: number | null;
  about: string;
}

export interface ProgramOutput {
  name: string;
  kind: "picture" | "values";
  low: number;
  high: number;
}

/** An integer that the user may choose: an iteration count, or a factor in a sum. */
export interface Setting {
  default: number;
  low: number;
  high: number;
  about: string;
}

export interface Term {
  value: string;
  times: number | string;
}

export type Step =
  | { do: "run"; part: string; inputs: Record<string, string>; outputs: Record<string, string> }
  | { do: "repeat"; count: number | string; each: Record<string, string>; state: string[]; steps: Step[] }
  | { do: "combine"; out: string; terms: Term[]; plus: number; low: number | null; high: number | null }
  | { do: "concat"; out: string; values: string[] }
  | { do: "channels"; out: string; value: string; first: number; count: number }
  | { do: "resize"; out: string; value: string; like: string | null; size: [number, number] | null }
  | { do: "discs"; out: string; points: string; at: string; like: string; radius: number }
  | { do: "top"; out: string; value: string; side: number; count: number | string }
  | { do: "crop"; out: string; value: string; place: string; side: number }
  | { do: "paste"; out: string; onto: string; value: string; place: string; fade: number };

export interface Program {
  inputs: ProgramInput[];
  outputs: ProgramOutput[];
  settings: Record<string, Setting>;
  tables: Record<string, { shape: number[]; values: number[] }>;
  steps: Step[];
}

/** Float32 in the axis order of the networks: pictures are (1, C, H, W). */
export interface Tensor {
  shape: number[];
  data: Float32Array;
}

export type Tensors = Record<string, Tensor>;

export const count = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);

/** A shape in Python's notation. */
export const told = (shape: readonly number[]): string =>
  shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
