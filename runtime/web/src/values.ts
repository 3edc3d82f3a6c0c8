/** Real values in the axis order of the networks <-> raw tensors of files: `of_values` and `to_values` of `runtime/pixels.py`. */

import { clamp, emptyValues, ENDS, type Picture, rint, type Values } from "./pixels";
import { count, type Tensor } from "./program";
import type { TensorSpec } from "./wire";

export interface Raw {
  values: Values;
  shape: number[];
}

const f = Math.fround;

/** Real values as the raw tensor of a file; throws if the file has another shape. */
export function ofValues(value: Tensor, spec: TensorSpec): Raw {
  const moved = spec.layout === "NHWC" && value.shape.length === 4 ? permuted(value, [0, 2, 3, 1]) : value;
  const fits = moved.shape.length === spec.shape.length && spec.shape.every((n, i) => typeof n === "string" || n === moved.shape[i]);
  if (!fits) throw new Error(`input '${spec.name}' has shape ${spec.shape.join("x")} (${spec.layout}); given: ${moved.shape.join("x")}`);
  const ends = ENDS[spec.dtype];
  if (!ends) return { values: moved.data, shape: moved.shape };
  const values = emptyValues(spec.dtype, moved.data.length);
  const [scale, zero] = [spec.scale!, spec.zero_point!];
  for (let i = 0; i < values.length; i++) values[i] = clamp(rint(moved.data[i]! / scale) + zero, ends[0], ends[1]);
  return { values, shape: moved.shape };
}

/** The real values of a raw tensor, in the axis order of the network. */
export function toValues({ values, shape }: Raw, spec: TensorSpec): Tensor {
  const [scale, zero] = spec.dtype in ENDS ? [f(spec.scale!), spec.zero_point!] : [1, 0];
  const data = values instanceof Float32Array ? values : Float32Array.from(values, (each) => (each - zero) * scale);
  const value = { shape, data };
  return spec.layout === "NHWC" && shape.length === 4 ? permuted(value, [0, 3, 1, 2]) : value;
}

/** A transposed tensor of rank 4; the new axes are the old ones at these indices. */
function permuted({ shape, data }: Tensor, order: readonly [number, number, number, number]): Tensor {
  const strides = shape.map((_, axis) => count(shape.slice(axis + 1)));
  const [a, b, c, d] = order.map((axis) => shape[axis]!) as [number, number, number, number];
  const [p, q, r, s] = order.map((axis) => strides[axis]!) as [number, number, number, number];
  const moved = new Float32Array(data.length);
  let at = 0;
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++)
      for (let k = 0; k < c; k++)
        for (let l = 0; l < d; l++) moved[at++] = data[i * p + j * q + k * r + l * s]!;
  return { shape: [a, b, c, d], data: moved };
}

/** An 8-bit picture with 1, 3 or 4 channels. */
export interface Levels {
  width: number;
  height: number;
  /** height * width * channels values. */
  data: Uint8Array;
  channels: number;
}

/** A picture (1, C, H, W) of real values from `low` to `high`, rounded to levels and clipped. */
export function toLevels({ shape, data }: Tensor, name: string, low: number, high: number): Levels {
  const [batch, channels, height, width] = shape as [number, number, number, number];
  if (shape.length !== 4 || batch !== 1 || ![1, 3, 4].includes(channels)) {
    throw new Error(`output '${name}' is declared as a picture (1, 1, 3 or 4 channels, H, W), but is ${shape.join("x")}`);
  }
  if (!data.length || !data.every(Number.isFinite)) throw new Error(`output '${name}' has values that are not finite`);
  const [black, step, pixels] = [f(low), f((high - low) / 255), width * height];
  const levels = new Uint8Array(data.length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < pixels; i++) levels[i * channels + c] = clamp(rint(f(f(data[c * pixels + i]! - black) / step)), 0, 255);
  }
  return { width, height, data: levels, channels };
}

/** An 8-bit RGB picture as (1, 3, H, W) of real values from `low` to `high`. */
export function fromPicture({ width, height, data }: Picture, low: number, high: number): Tensor {
  const pixels = width * height;
  const table = Float32Array.from({ length: 256 }, (_, level) => low + (level * (high - low)) / 255);
  const values = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++) for (let i = 0; i < pixels; i++) values[c * pixels + i] = table[data[i * 3 + c]!]!;
  return { shape: [1, 3, height, width], data: values };
}
