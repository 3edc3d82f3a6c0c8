/**
 * Pictures <-> raw tensors according to a TensorSpec: bit-identical to `runtime/pixels.py`.
 *
 * A picture is 8-bit RGB, rows from the top, without alpha. Rounding is to the nearest integer, ties to even.
 */

import type { TensorSpec } from "./wire";

export interface Picture {
  width: number;
  height: number;
  /** height * width * 3 values. */
  data: Uint8Array;
}

export type Values = Float32Array | Uint8Array | Int8Array;

/** The minimum and maximum of an integer dtype. */
export const ENDS: Record<string, [number, number]> = { uint8: [0, 255], int8: [-128, 127] };

/** Round to the nearest integer, ties to even, as numpy.rint does. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export const clamp = (value: number, low: number, high: number): number => (value < low ? low : value > high ? high : value);

/** (height, width) of a tensor of one picture; a name for a dynamic side. */
export function imageSize(spec: TensorSpec): [number | string, number | string] {
  const [height, width] = spec.layout === "NHWC" ? [1, 2] : [2, 3];
  return [spec.shape[height]!, spec.shape[width]!];
}

/** The shape of a tensor with one picture of this size. */
export function shapeOf(spec: TensorSpec, width: number, height: number): number[] {
  return spec.layout === "NHWC" ? [1, height, width, 3] : [1, 3, height, width];
}

/** An array for `length` values of the tensor's dtype. */
export function emptyValues(dtype: string, length: number): Values {
  if (dtype === "float32") return new Float32Array(length);
  if (dtype === "uint8") return new Uint8Array(length);
  if (dtype === "int8") return new Int8Array(length);
  throw new Error(`this browser does not support tensors of ${dtype}`);
}

/** NumPy's name of an array's dtype. */
export function dtypeOf(values: Values): "float32" | "uint8" | "int8" {
  if (values instanceof Float32Array) return "float32";
  return values instanceof Uint8Array ? "uint8" : "int8";
}

/** The tensor value of each of the 256 levels. */
function valuesOfLevels(spec: TensorSpec): Values {
  const [low, high] = spec.value_range;
  const values = emptyValues(spec.dtype, 256);
  const ends = ENDS[spec.dtype];
  for (let level = 0; level < 256; level++) {
    const real = low + (level * (high - low)) / 255;
    values[level] = ends ? clamp(rint(real / spec.scale!) + spec.zero_point!, ends[0], ends[1]) : real;
  }
  return values;
}

/** The index of channel `c` of pixel `i` in a tensor of `pixels` pixels. */
function placing(spec: TensorSpec, pixels: number): (pixel: number, channel: number) => number {
  const source = spec.color === "RGB" ? [0, 1, 2] : [2, 1, 0];
  return spec.layout === "NHWC" ? (i, c) => i * 3 + source[c]! : (i, c) => source[c]! * pixels + i;
}

/** A picture as a tensor of batch 1. */
export function toTensor(picture: Picture, spec: TensorSpec): Values {
  const pixels = picture.width * picture.height;
  const values = emptyValues(spec.dtype, pixels * 3);
  const table = valuesOfLevels(spec);
  const place = placing(spec, pixels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) values[place(i, c)] = table[picture.data[i * 3 + c]!]!;
  }
  return values;
}

/** The picture of a tensor of batch 1: rounded to levels and clipped to 0..255. Throws on NaN. */
export function toPicture(values: Values, spec: TensorSpec, width: number, height: number): Picture {
  const pixels = width * height;
  if (values.length !== pixels * 3) throw new Error(`${values.length} values, expected ${pixels * 3}`);
  const f = Math.fround;
  const low = f(spec.value_range[0]);
  const step = f((spec.value_range[1] - spec.value_range[0]) / 255);
  const [scale, zero] = spec.dtype in ENDS ? [f(spec.scale!), spec.zero_point!] : [1, 0];
  const data = new Uint8Array(pixels * 3);
  const place = placing(spec, pixels);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) {
      const level = f(f(f(f(values[place(i, c)]! - zero) * scale) - low) / step);
      if (Number.isNaN(level)) throw new Error(`tensor ${spec.name} has NaN: it is not a picture`);
      data[i * 3 + c] = clamp(rint(level), 0, 255);
    }
  }
  return { width, height, data };
}
