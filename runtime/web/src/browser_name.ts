export interface Brand {
  brand: string;
  version: string;
}

/** "Chrome 142", from the brands or, without them, from the user agent. */
export function browserName(agent: string, brands: readonly Brand[]): string {
  const real = brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand.replace(/[^\w]/g, " ")));
  const brand = real.find((b) => b.brand !== "Chromium") ?? real[0];
  if (brand) return `${brand.brand} ${brand.version}`;
  const firefox = /Firefox\/(\d+)/.exec(agent);
  if (firefox) return `Firefox ${firefox[1]}`;
  const safari = /Version\/([\d.]+).*Safari/.exec(agent);
  if (safari) return `Safari ${safari[1]}`;
  const chrome = /Chrome\/(\d+)/.exec(agent);
  return chrome ? `Chrome ${chrome[1]}` : "a browser";
}
