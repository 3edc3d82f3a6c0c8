/** NumPy's .npy files: one array, in C order, as float32. */

import { count, type Tensor } from "./program";

const MAGIC = "\x93NUMPY";
const READERS: Record<string, (view: DataView, at: number) => number> = {
  "<f4": (view, at) => view.getFloat32(at, true),
  "<f8": (view, at) => view.getFloat64(at, true),
  "<i2": (view, at) => view.getInt16(at, true),
  "<i4": (view, at) => view.getInt32(at, true),
  "|i1": (view, at) => view.getInt8(at),
  "|u1": (view, at) => view.getUint8(at),
};

/** Throws where the bytes are no such file, or its numbers are of a type that is not read here. */
export function readNpy(bytes: Uint8Array): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from: number, to: number): string => String.fromCharCode(...bytes.subarray(from, to));
  if (bytes.length < 12 || text(0, 6) !== MAGIC) throw new Error("not a .npy file, as numpy.save writes it");
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = text(start, start + length);
  const type = /'descr': *'([^']+)'/.exec(header)?.[1];
  const axes = /'shape': *\(([\d, ]*)\)/.exec(header)?.[1];
  if (type === undefined || axes === undefined) throw new Error("the header of the .npy file cannot be read");
  const reader = READERS[type];
  if (!reader) throw new Error(`the array is of type ${type}: expected one of ${Object.keys(READERS).join(", ")}`);
  if (/'fortran_order': *True/.test(header)) throw new Error("the array is in Fortran order: save numpy.ascontiguousarray(array)");
  const shape = axes.split(",").filter((axis) => axis.trim()).map(Number);
  const [size, step, first] = [count(shape), Number(type[2]), start + length];
  if (bytes.length !== first + size * step) throw new Error("the .npy file is shorter or longer than its header says");
  return { shape, data: Float32Array.from({ length: size }, (_, i) => reader(view, first + i * step)) };
}

export function npyOf({ shape, data }: Tensor): Blob {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${axes}), }`;
  const padded = header.padEnd(64 * Math.ceil((10 + header.length + 1) / 64) - 11) + "\n"; // numbers start at a multiple of 64
  const start = Uint8Array.from([...MAGIC, "\x01", "\x00"].map((letter) => letter.charCodeAt(0)));
  const length = Uint8Array.of(padded.length & 255, padded.length >> 8);
  const numbers = new DataView(new ArrayBuffer(4 * data.length));
  data.forEach((number, i) => numbers.setFloat32(4 * i, number, true));
  return new Blob([start, length, padded, numbers], { type: "application/octet-stream" });
}
