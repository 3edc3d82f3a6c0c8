/** Float32 tensors of a safetensors file: 8 bytes of length, a JSON header, and the data. */

import type { Tensors } from "./program";

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

export function readTensors(bytes: Uint8Array): Tensors {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, Entry>;
  const found: Tensors = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (dtype !== "F32") throw new Error(`${name}: expected float32, got ${dtype}`);
    const data = bytes.slice(8 + length + data_offsets[0], 8 + length + data_offsets[1]);
    found[name] = { shape, data: new Float32Array(data.buffer) };
  }
  return found;
}
