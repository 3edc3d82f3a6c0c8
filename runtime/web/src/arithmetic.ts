/** What the tests compare with Python, number by number. */

export { compare, failures } from "./parity";
export { rint, toPicture, toTensor } from "./pixels";
export { percentile } from "./stats";
export { plan, restore, tileOf } from "./tiling";
