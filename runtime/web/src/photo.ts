/**
 * The user's photo as network input: 8-bit sRGB, upright, without alpha, as read by `core/pictures/images.py`.
 *
 * PNG files are decoded here, exactly. Other formats are decoded by the browser: Chromium's JPEG equals libjpeg-turbo's, others
 * may differ by a level. Their color profiles are converted here, except those of CMYK and AVIF.
 */

import { repeated, toSrgb } from "./icc";
import { DROPPED, isPng, type Raw, readPng } from "./photo_png";
import type { Picture } from "./pixels";

const FORMATS_WITH_PROFILES = [iccOfJpeg, iccOfWebp];

export interface Decoded {
  picture: Picture;
  /** Whether every pixel is gray. */
  gray: boolean;
  /** Messages on lost or changed information. */
  remarks: string[];
}

export async function decodePhoto(file: Blob): Promise<Decoded> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const raw = await (isPng(bytes) ? Promise.resolve(bytes).then(readPng) : byBrowser(file, bytes)).catch(() => {
    throw new Error("this browser cannot read that file as a picture");
  });
  const { data, channels, remark } = raw.profile
    ? await toSrgb(raw.data, raw.channels, raw.profile)
    : { data: raw.data, channels: raw.channels, remark: "" };
  const remarks = [...raw.remarks.filter((one) => one !== DROPPED), remark, ...raw.remarks.filter((one) => one === DROPPED)];
  const pixels = channels === 1 ? repeated(data) : data;
  const picture = upright({ width: raw.width, height: raw.height, data: pixels }, raw.orientation);
  return { picture, gray: isGray(picture), remarks: remarks.filter(Boolean) };
}

function isGray({ data }: Picture): boolean {
  for (let i = 0; i < data.length; i += 3) if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  return true;
}

/** A picture whose three channels are its BT.601 luma, rounded: `as_gray` of `core/pictures/images.py`. */
export function asGray({ width, height, data }: Picture): Picture {
  const gray = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const luma = Math.floor((299 * data[i]! + 587 * data[i + 1]! + 114 * data[i + 2]! + 500) / 1000);
    gray.fill(luma, i, i + 3);
  }
  return { width, height, data: gray };
}

/** Apply an EXIF orientation, 1 to 8. */
function upright(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const turned = orientation >= 5;
  const [width, height] = turned ? [picture.height, picture.width] : [picture.width, picture.height];
  const [down, across] = [[3, 4, 7, 8].includes(orientation), [2, 3, 6, 7].includes(orientation)];
  const data = new Uint8Array(picture.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [row, column] = [down ? height - 1 - y : y, across ? width - 1 - x : x];
      const from = 3 * (turned ? column * picture.width + row : row * picture.width + column);
      data.set(picture.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  }
  return { width, height, data };
}

async function byBrowser(file: Blob, bytes: Uint8Array): Promise<Raw> {
  const profile = FORMATS_WITH_PROFILES.map((find) => find(bytes)).find(Boolean) ?? null;
  const stored = profile && String.fromCharCode(...profile.subarray(16, 20)) !== "CMYK" ? profile : null;
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    premultiplyAlpha: "none",
    colorSpaceConversion: stored ? "none" : "default",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Error("this browser provides no canvas");
  context.drawImage(bitmap, 0, 0);
  const { width, height } = bitmap;
  bitmap.close();
  const seen = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  let seenThrough = false;
  for (let from = 0, to = 0; from < seen.length; from += 4, to += 3) {
    data.set(seen.subarray(from, from + 3), to);
    seenThrough ||= seen[from + 3] !== 255;
  }
  const remarks = seenThrough ? [DROPPED] : [];
  return { width, height, channels: 3, data, profile: stored, orientation: 1, remarks };
}

/** The ICC profile of a JPEG file, in one or more APP2 segments, or null. */
function iccOfJpeg(bytes: Uint8Array): Uint8Array | null {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; at += 2 + view.getUint16(at + 2)) {
    const end = at + 2 + view.getUint16(at + 2);
    const named = String.fromCharCode(...bytes.subarray(at + 4, at + 15)) === "ICC_PROFILE";
    if (bytes[at + 1] === 0xe2 && named) parts[bytes[at + 16]!] = bytes.subarray(at + 18, end);
  }
  return joined(parts.filter(Boolean));
}

/** The ICC profile of a WebP file (chunk ICCP), or null. */
function iccOfWebp(bytes: Uint8Array): Uint8Array | null {
  const word = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (word(0) !== "RIFF" || word(8) !== "WEBP") return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; at += 8 + ((view.getUint32(at + 4, true) + 1) & ~1)) {
    if (word(at) === "ICCP") return bytes.slice(at + 8, at + 8 + view.getUint32(at + 4, true));
  }
  return null;
}

function joined(parts: Uint8Array[]): Uint8Array | null {
  if (!parts.length) return null;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
