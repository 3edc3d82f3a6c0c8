/** Pictures from files, to canvases, and to files. */

import { decode, encode } from "fast-png";

import { decodePhoto } from "./photo";
import type { Picture } from "./pixels";
import { download } from "./server";
import type { Levels } from "./values";

/** Maximum pixels of a canvas on phones. */
const MOST_PIXELS = 1 << 24;

/** A golden picture, decoded here: a canvas may change pixels (color management, protection against fingerprinting). */
export async function goldenPicture(path: string): Promise<Picture> {
  const { width, height, channels, depth, data } = decode(await download(path));
  if (depth !== 8 || channels !== 3) throw new Error(`${path}: expected 8-bit RGB, got ${channels} channels of ${depth} bits`);
  return { width, height, data: Uint8Array.from(data) };
}

export interface Photo {
  picture: Picture;
  /** Whether every pixel is gray, so that the output should be gray, too. */
  gray: boolean;
  /** A remark on changes before processing; may be empty. */
  remark: string;
}

/** The user's photo as RGB, upright; downscaled if its restored form would have more than `most` pixels. */
export async function readPhoto(file: Blob, scale: number, most = MOST_PIXELS): Promise<Photo> {
  const { picture, gray, remarks } = await decodePhoto(file);
  const said = remarks.length ? `Of the photo: ${remarks.join(", ")}.` : "";
  const shrink = Math.min(1, Math.sqrt(most / (picture.width * picture.height * scale * scale)));
  if (shrink === 1) return { picture, gray, remark: said };
  const width = Math.max(1, Math.floor(picture.width * shrink));
  const height = Math.max(1, Math.floor(picture.height * shrink));
  const smaller = `The photo was downscaled to ${width}x${height} first: larger ones exceed the memory of a page.`;
  return { picture: await resized(picture, width, height), gray, remark: `${said} ${smaller}`.trim() };
}

async function resized(picture: Picture, width: number, height: number): Promise<Picture> {
  const bitmap = await createImageBitmap(imageData(picture), { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = contextOf(canvas);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const seen = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < seen.length; from += 4, to += 3) data.set(seen.subarray(from, from + 3), to);
  return { width, height, data };
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Error("this browser provides no canvas");
  return context;
}

function imageData(picture: Picture): ImageData {
  const image = new ImageData(picture.width, picture.height);
  for (let from = 0, to = 0; from < picture.data.length; from += 3, to += 4) {
    image.data[to] = picture.data[from]!;
    image.data[to + 1] = picture.data[from + 1]!;
    image.data[to + 2] = picture.data[from + 2]!;
    image.data[to + 3] = 255;
  }
  return image;
}

export function draw(picture: Picture, canvas: HTMLCanvasElement): void {
  Object.assign(canvas, { width: picture.width, height: picture.height });
  contextOf(canvas).putImageData(imageData(picture), 0, 0);
}

/** Any 8-bit picture: gray, RGB, or with alpha. */
export function drawLevels({ width, height, data, channels }: Levels, canvas: HTMLCanvasElement): void {
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4) {
    for (let c = 0; c < 3; c++) image.data[to + c] = data[from + (channels === 1 ? 0 : c)]!;
    image.data[to + 3] = channels === 4 ? data[from + 3]! : 255;
  }
  Object.assign(canvas, { width, height });
  contextOf(canvas).putImageData(image, 0, 0);
}

/** A picture as a PNG file, lossless: a canvas would lose colors of transparent pixels. */
export function pngOf({ width, height, data, channels }: Levels): Blob {
  return new Blob([encode({ width, height, data, channels, depth: 8 }) as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

/** Let the user save a file. */
export function offerFile(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
