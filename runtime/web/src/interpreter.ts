/** Runs a program like `core/programs/interpreter.py`, with the same steps and limits. The server has validated the program. */

import { count, type Program, type ProgramInput, type Step, type Tensor, type Tensors, told } from "./program";
import { crop, discs, paste, resized, top } from "./squares";

/** Runs a part on its inputs, and returns its outputs. */
export type Parts = (part: string, inputs: Tensors) => Promise<Tensors>;

/** Maximum elements of one tensor, and of all tensors visible to a step. */
const MOST_VALUES = 2 ** 27;
const MOST_HELD = 2 ** 28;
const f = Math.fround;

type StepOf<T extends Step["do"]> = Extract<Step, { do: T }>;
type Single = Exclude<Step, StepOf<"run" | "repeat">>;

/**
 * The outputs of a program, by name.
 *
 * `settings` are values that differ from the defaults; `onRound` is called at each iteration of outermost loops. Throws if an
 * input is missing or has another shape, a setting is out of range, or tensors of a step do not match.
 */
export async function execute(
  program: Program,
  parts: Parts,
  inputs: Tensors,
  settings: Record<string, number> = {},
  onRound: (done: number, total: number) => void = () => {},
): Promise<Tensors> {
  const chosen = choices(program, settings);
  const given = { ...defaults(program.inputs), ...inputs };
  checkInputs(program.inputs, given);
  const known: Tensors = {};
  for (const [name, number] of Object.entries(chosen)) known[name] = { shape: [], data: Float32Array.of(number) };
  for (const [name, { shape, values }] of Object.entries(program.tables)) known[name] = { shape, data: Float32Array.from(values) };
  for (const { name } of program.inputs) known[name] = given[name]!;
  const found = await new Interpreter(parts, chosen, onRound).steps(program.steps, known, "steps", 0);
  return Object.fromEntries(program.outputs.map(({ name }) => [name, found[name]!]));
}

/** Every setting, chosen or by default. */
export function choices(program: Program, settings: Record<string, number>): Record<string, number> {
  for (const [name, value] of Object.entries(settings)) {
    const setting = program.settings[name];
    if (!setting) throw new Error(`there is no setting '${name}' (available: ${Object.keys(program.settings).join(", ") || "none"})`);
    if (!Number.isInteger(value) || value < setting.low || value > setting.high) {
      throw new Error(`${name}=${value}: expected ${setting.low} to ${setting.high}: ${setting.about}`);
    }
  }
  return Object.fromEntries(Object.entries(program.settings).map(([name, each]) => [name, settings[name] ?? each.default]));
}

/** Inputs with default values. */
function defaults(wanted: readonly ProgramInput[]): Tensors {
  const found: Tensors = {};
  for (const { name, shape, default: number } of wanted) {
    if (number === null) continue;
    const sides = shape.map(Number);
    found[name] = { shape: sides, data: new Float32Array(count(sides)).fill(number) };
  }
  return found;
}

function checkInputs(wanted: readonly ProgramInput[], inputs: Tensors): void {
  const sizes = new Map<string, number>();
  for (const each of wanted) {
    const given = inputs[each.name];
    if (!given) throw new Error(`input '${each.name}' (${each.kind}) was not given`);
    const fits =
      given.shape.length === each.shape.length &&
      each.shape.every((axis, i) => {
        if (typeof axis === "number") return axis === given.shape[i];
        if (!sizes.has(axis)) sizes.set(axis, given.shape[i]!);
        return sizes.get(axis) === given.shape[i];
      });
    if (!fits || count(given.shape) > MOST_VALUES) {
      throw new Error(`input '${each.name}' has the shape ${each.shape.join("x")}; given: ${given.shape.join("x")}`);
    }
    if (!given.data.every(Number.isFinite)) throw new Error(`input '${each.name}' has values that are not finite`);
  }
}

class Interpreter {
  constructor(
    private readonly parts: Parts,
    private readonly settings: Record<string, number>,
    private readonly onRound: (done: number, total: number) => void,
  ) {}

  /** All values after the steps; `depth`: number of enclosing loops. */
  async steps(steps: readonly Step[], known: Tensors, where: string, depth: number): Promise<Tensors> {
    const found = { ...known };
    for (const [number, step] of steps.entries()) {
      const place = `${where}.${number} (${step.do})`;
      const made = await this.step(step, found, place, depth).catch((error: unknown) => {
        throw error instanceof Misfit ? new Error(`the program's ${place}: ${error.message}`) : error;
      });
      Object.assign(found, made);
      const held = Object.values(found).reduce((sum, { data }) => sum + data.length, 0);
      if (held > MOST_HELD) throw new Error(`the program's ${place}: its tensors have ${held} numbers, at most ${MOST_HELD}`);
    }
    return found;
  }

  private async step(step: Step, known: Tensors, place: string, depth: number): Promise<Tensors> {
    if (step.do === "repeat") return this.loop(step, known, place, depth);
    if (step.do === "run") return this.run(step, known);
    try {
      return { [step.out]: this.single(step, known) };
    } catch (error) {
      throw new Misfit(error instanceof Error ? error.message : String(error));
    }
  }

  private async run(step: StepOf<"run">, known: Tensors): Promise<Tensors> {
    const given = Object.fromEntries(Object.entries(step.inputs).map(([end, name]) => [end, known[name]!]));
    const found = await this.parts(step.part, given);
    return Object.fromEntries(Object.entries(step.outputs).map(([end, name]) => [name, found[end]!]));
  }

  private async loop(loop: StepOf<"repeat">, known: Tensors, place: string, depth: number): Promise<Tensors> {
    const rounds = this.number(loop.count);
    let state = Object.fromEntries(loop.state.map((name) => [name, known[name]!]));
    for (const source of Object.values(loop.each)) {
      const have = known[source]!.shape[0] ?? 0;
      if (have < rounds) throw new Misfit(`'${source}' has ${have} rows for ${rounds} rounds`);
    }
    for (let round = 0; round < rounds; round++) {
      const rows = Object.fromEntries(Object.entries(loop.each).map(([name, source]) => [name, row(known[source]!, round)]));
      const found = await this.steps(loop.steps, { ...known, ...state, ...rows }, `${place}.steps`, depth + 1);
      const fresh = Object.fromEntries(loop.state.map((name) => [name, found[name]!]));
      for (const [name, { shape }] of Object.entries(fresh)) {
        if (!same(shape, state[name]!.shape)) throw new Misfit(`its state '${name}' changed from ${told(state[name]!.shape)} to ${told(shape)}`);
      }
      state = fresh;
      if (depth === 0) this.onRound(round + 1, rounds);
    }
    return state;
  }

  private number(given: number | string): number {
    return typeof given === "number" ? given : this.settings[given]!;
  }

  private single(step: Single, known: Tensors): Tensor {
    const get = (name: string): Tensor => known[name]!;
    const picture = (name: string): Tensor => asPicture(get(name));
    switch (step.do) {
      case "combine":
        return combined(step, known);
      case "concat":
        return joined(step.values.map(get));
      case "channels":
        return channels(get(step.value), step.first, step.count);
      case "resize":
        return resize(picture(step.value), step.size ?? sides(picture(step.like!)));
      case "discs":
        return discs(get(step.points), sides(picture(step.like)), sides(picture(step.at)), step.radius);
      case "top":
        return top(picture(step.value), step.side, this.number(step.count));
      case "crop":
        return crop(picture(step.value), get(step.place), step.side);
      case "paste":
        return paste(picture(step.onto), picture(step.value), get(step.place), step.fade);
    }
  }
}

/** Tensors of a step do not match; reported with the step. */
class Misfit extends Error {}

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((axis, i) => axis === b[i]);

function row({ shape, data }: Tensor, at: number): Tensor {
  const rest = shape.slice(1);
  const size = count(rest);
  return { shape: rest, data: data.subarray(at * size, (at + 1) * size) };
}

function asPicture(value: Tensor): Tensor {
  if (value.shape.length !== 4 || value.shape[0] !== 1) throw new Error(`expected a picture (1, C, H, W), got ${told(value.shape)}`);
  return value;
}

const sides = ({ shape }: Tensor): [number, number] => [shape[2]!, shape[3]!];

function resize(value: Tensor, size: [number, number]): Tensor {
  const [depth, height, width] = value.shape.slice(1) as [number, number, number];
  checkSize(depth * Math.max(height, size[0]) * Math.max(width, size[1]));
  checkSize(height * size[0]);
  checkSize(width * size[1]);
  return resized(value, size);
}

function checkSize(numbers: number): void {
  if (numbers > MOST_VALUES) throw new Error(`a tensor of ${numbers} numbers, at most ${MOST_VALUES}`);
}

/** A sum of tensors times numbers, or times tensors with one element or of the same shape; in float32, term by term. */
function combined(step: StepOf<"combine">, known: Tensors): Tensor {
  let total: Tensor | null = null;
  for (const term of step.terms) {
    const value = known[term.value]!;
    const times = typeof term.times === "string" ? known[term.times]! : { shape: [], data: Float32Array.of(term.times) };
    if (times.data.length !== 1 && !same(times.shape, value.shape)) {
      throw new Error(`'${term.value}' ${told(value.shape)} times '${term.times}' ${told(times.shape)}`);
    }
    if (total?.shape.length && !same(total.shape, value.shape)) throw new Error(`a sum of ${told(total.shape)} and '${term.value}' ${told(value.shape)}`);
    if (!total?.shape.length) total = { shape: value.shape, data: new Float32Array(value.data.length).fill(total ? total.data[0]! : step.plus) };
    const [{ data }, factors] = [total, times.data];
    const each = factors.length > 1;
    for (let i = 0; i < data.length; i++) data[i] = data[i]! + f(value.data[i]! * factors[each ? i : 0]!);
  }
  const { shape, data } = total!;
  const [low, high] = [f(step.low ?? -Infinity), f(step.high ?? Infinity)];
  if (step.low !== null || step.high !== null) {
    for (let i = 0; i < data.length; i++) data[i] = data[i]! < low ? low : data[i]! > high ? high : data[i]!;
  }
  return { shape, data };
}

const withChannels = ([first, , ...rest]: readonly number[], many: number): number[] => [first!, many, ...rest];

/** Concatenation along the second axis. */
function joined(values: readonly Tensor[]): Tensor {
  checkSize(values.reduce((sum, { data }) => sum + data.length, 0));
  const [first] = values as [Tensor];
  const fit = values.every(({ shape }) => shape.length > 1 && same(withChannels(shape, 0), withChannels(first.shape, 0)));
  if (!fit) throw new Error(`tensors that cannot be concatenated along their channels: ${values.map(({ shape }) => told(shape)).join(", ")}`);
  const inner = count(first.shape.slice(2));
  const wide = values.map(({ shape }) => shape[1]! * inner);
  const [outer, whole] = [first.shape[0]!, wide.reduce((sum, n) => sum + n, 0)];
  const data = new Float32Array(outer * whole);
  let at = 0;
  for (let row = 0; row < outer; row++) {
    for (const [i, value] of values.entries()) {
      data.set(value.data.subarray(row * wide[i]!, (row + 1) * wide[i]!), at);
      at += wide[i]!;
    }
  }
  return { shape: withChannels(first.shape, values.reduce((sum, { shape }) => sum + shape[1]!, 0)), data };
}

/** A range of the second axis. */
function channels({ shape, data }: Tensor, first: number, many: number): Tensor {
  if (shape.length < 2 || shape[0] !== 1) throw new Error(`expected channels (1, C, ...), got ${told(shape)}`);
  if (first + many > shape[1]!) throw new Error(`channels ${first} to ${first + many - 1} of ${shape[1]!}`);
  const inner = count(shape.slice(2));
  return { shape: withChannels(shape, many), data: data.slice(first * inner, (first + many) * inner) };
}
