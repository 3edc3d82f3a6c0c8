/** The part of lcms-wasm that the page uses; the package has no types. */
declare module "lcms-wasm" {
  interface Lcms {
    cmsOpenProfileFromMem(data: Uint8Array, length: number): number;
    cmsCreate_sRGBProfile(): number;
    cmsCloseProfile(profile: number): void;
    cmsGetColorSpaceASCII(profile: number): string | null;
    cmsGetProfileInfoASCII(profile: number, what: number, language: string, country: string): string;
    cmsCreateTransform(from: number, format: number, to: number, toFormat: number, intent: number, flags: number): number;
    cmsDoTransform(transform: number, data: Uint8Array, pixels: number): Uint8Array;
    cmsDeleteTransform(transform: number): void;
  }
  export function instantiate(options?: object): Promise<Lcms>;
}
