/** Functions that the tests compare with Python, value by value. */

export { browserName } from "./browser_name";
export { execute } from "./interpreter";
export { Noise } from "./noise";
export { compare, failures } from "./parity";
export { rint, toPicture, toTensor } from "./pixels";
export { parsePlacements, unitOf } from "./placements";
export { percentile } from "./stats";
export { readTensors } from "./safetensors";
export { plan, restore, tileOf } from "./tiling";
export { budgetMib, nextParty, order } from "./turns";
export { fromPicture, ofValues, toLevels, toValues } from "./values";
