/** What the tests compare with Python, number by number. */

export { browserName } from "./browser_name";
export { compare, failures } from "./parity";
export { rint, toPicture, toTensor } from "./pixels";
export { parsePlacements, unitOf } from "./placements";
export { percentile } from "./stats";
export { plan, restore, tileOf } from "./tiling";
export { budgetMib, nextParty, order } from "./turns";
