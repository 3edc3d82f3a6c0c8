/** PNG photos, decoded here: browsers truncate 16 bits and blend transparent pixels with black. */

import { convertIndexedToRgb, decode } from "fast-png";

export interface Raw {
  width: number;
  height: number;
  /** 1 for gray, or 3. */
  channels: number;
  data: Uint8Array;
  profile: Uint8Array | null;
  /** The EXIF tag, 1 to 8. */
  orientation: number;
  remarks: string[];
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const MOST_PIXELS = 210_000_000;
export const DROPPED = "its transparency was dropped";

export const isPng = (bytes: Uint8Array): boolean => SIGNATURE.every((byte, i) => bytes[i] === byte);

/** The pixels of a PNG file as stored, 8 bits per channel: more are rounded, alpha is dropped. */
export function readPng(bytes: Uint8Array): Raw {
  const header = new DataView(bytes.buffer, bytes.byteOffset);
  const [width, height] = [header.getUint32(16), header.getUint32(20)];
  if (width * height > MOST_PIXELS) throw new Error(`more than ${MOST_PIXELS / 1e6} megapixels`);
  const png = decode(bytes);
  const remarks: string[] = [];
  let [stored, channels, depth] = [png.data as ArrayLike<number>, png.channels, png.depth as number];
  if (png.palette) {
    stored = convertIndexedToRgb(png);
    [channels, depth] = [png.palette[0]!.length, 8];
  } else if (depth < 8) {
    stored = unpacked(png.data, width, height, depth);
  }
  if (depth === 16) remarks.push("16 bits per channel rounded to 8");
  const colors = channels < 3 ? 1 : 3;
  const data = new Uint8Array(width * height * colors);
  const key = png.palette ? undefined : png.transparency;
  let seenThrough = false;
  for (let i = 0, to = 0; i < width * height; i++) {
    const from = i * channels;
    for (let c = 0; c < colors; c++) data[to++] = eightBits(stored[from + c]!, depth);
    if (channels > colors) seenThrough ||= eightBits(stored[from + colors]!, depth) !== 255;
    else if (key) seenThrough ||= key.every((level, c) => stored[from + c] === level);
  }
  if (seenThrough) remarks.push(DROPPED);
  const profile = png.iccEmbeddedProfile?.profile ?? null;
  return { width, height, channels: colors, data, profile, orientation: orientationOf(bytes), remarks };
}

function eightBits(level: number, depth: number): number {
  if (depth === 8) return level;
  const white = 2 ** depth - 1;
  return Math.floor((level * 255 + (white >> 1)) / white);
}

/** Levels of gray pictures with several pixels per byte; each row begins at a byte boundary. */
function unpacked(data: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const levels = new Uint8Array(width * height);
  const stride = Math.ceil((width * depth) / 8);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      levels[y * width + x] = (data[y * stride + (bit >> 3)]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
    }
  }
  return levels;
}

/** The orientation in the chunk eXIf, which has a TIFF header and its first directory; 1 without it. */
function orientationOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) !== "eXIf") continue;
    const tiff = new DataView(bytes.buffer, bytes.byteOffset + at + 8, view.getUint32(at));
    try {
      return orientationInTiff(tiff);
    } catch {
      return 1; // a directory that points out of the chunk is ignored: EXIF does not affect the pixels
    }
  }
  return 1;
}

function orientationInTiff(tiff: DataView): number {
  const little = tiff.getUint16(0) === 0x4949;
  const directory = tiff.getUint32(4, little);
  for (let i = 0; i < tiff.getUint16(directory, little); i++) {
    const entry = directory + 2 + 12 * i;
    if (tiff.getUint16(entry, little) !== 0x0112) continue;
    const found = tiff.getUint16(entry + 8, little);
    return found >= 1 && found <= 8 ? found : 1;
  }
  return 1;
}
