/** Colors as sRGB by LittleCMS, the library that `core/pictures/color.py` uses, with the same intent and flags. */

import { instantiate } from "lcms-wasm";

const RELATIVE_COLORIMETRIC = 1;
const BLACK_POINT_COMPENSATION = 0x2000;
const DESCRIPTION = 0;
const SPACES: Record<string, [string, number, number]> = {
  RGB: ["RGB", 3, (4 << 16) | (3 << 3) | 1], // the number is LittleCMS's code for 8-bit pixels of that kind
  GRAY: ["L", 1, (3 << 16) | (1 << 3) | 1],
};
const RGB_8 = SPACES.RGB![2];
const AT_ONCE = 1 << 20;
const NEAR = 1;

export interface Converted {
  data: Uint8Array;
  channels: number;
  /** A remark for the user; may be empty. */
  remark: string;
}

let library: ReturnType<typeof instantiate> | null = null;

/** Pixels of 1 or 3 channels in sRGB, by an ICC profile; gray stays gray. */
export async function toSrgb(data: Uint8Array, channels: number, profile: Uint8Array): Promise<Converted> {
  library ??= instantiate(); // a third of a megabyte, loaded only for photos that need it
  const lcms = await library;
  const source = lcms.cmsOpenProfileFromMem(profile, profile.length);
  if (!source) return { data, channels, remark: "its color profile cannot be used and was ignored" };
  const target = lcms.cmsCreate_sRGBProfile();
  try {
    const space = SPACES[lcms.cmsGetColorSpaceASCII(source) ?? ""];
    const name = lcms.cmsGetProfileInfoASCII(source, DESCRIPTION, "en", "US").replace(/\0.*$/, "").trim();
    if (channels === 1 && space?.[0] === "RGB") return await toSrgb(repeated(data), 3, profile);
    if (!space || space[1] !== channels) {
      return { data, channels, remark: `its color profile (${name}) is for ${space?.[0] ?? "other"} pictures and was ignored` };
    }
    const transform = lcms.cmsCreateTransform(source, space[2], target, RGB_8, RELATIVE_COLORIMETRIC, BLACK_POINT_COMPENSATION);
    if (!transform) return { data, channels, remark: "its color profile cannot be used and was ignored" };
    const apply = (given: Uint8Array): Uint8Array => applied(lcms, transform, given, channels);
    try {
      const probe = lattice(channels);
      const same = apply(probe).every((level, i) => Math.abs(level - probe[i]!) <= NEAR);
      if (same) return { data, channels, remark: "" };
      return { data: apply(data), channels, remark: `colors converted from ${name} to sRGB` };
    } finally {
      lcms.cmsDeleteTransform(transform);
    }
  } finally {
    lcms.cmsCloseProfile(source);
    lcms.cmsCloseProfile(target);
  }
}

type Library = Awaited<ReturnType<typeof instantiate>>;

/** In chunks, because the library's memory is small; for gray pictures, the green channel of the result. */
function applied(lcms: Library, transform: number, data: Uint8Array, channels: number): Uint8Array {
  const made = new Uint8Array(data.length);
  for (let from = 0; from < data.length; from += AT_ONCE * channels) {
    const part = data.subarray(from, from + AT_ONCE * channels);
    const rgb = lcms.cmsDoTransform(transform, part, part.length / channels);
    if (channels === 3) made.set(rgb.subarray(0, part.length), from);
    else for (let i = 0; i < part.length; i++) made[from + i] = rgb[i * 3 + 1]!;
  }
  return made;
}

/** All grays, and for colors a lattice: if these do not change, the profile is equivalent to sRGB. */
function lattice(channels: number): Uint8Array {
  const grays = Uint8Array.from({ length: 256 }, (_, level) => level);
  if (channels === 1) return grays;
  const steps = Array.from({ length: 16 }, (_, i) => i * 17);
  const colors = steps.flatMap((red) => steps.flatMap((green) => steps.flatMap((blue) => [red, green, blue])));
  return Uint8Array.from([...repeated(grays), ...colors]);
}

/** Gray levels as RGB. */
export function repeated(gray: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(gray.length * 3);
  for (let i = 0; i < gray.length; i++) rgb.fill(gray[i]!, 3 * i, 3 * i + 3);
  return rgb;
}
