/** What an adapter computes on: a GPU, or a driver that runs shaders on the CPU. */
export type AdapterKind = "hardware" | "software";

/** Drivers that compute on the CPU, by what they call themselves. WARP is Microsoft's. */
const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render|\bwarp\b/i;

/** Tells hardware from software: by the adapter's own flag, else by its name (not every host sets the flag). */
export function adapterKind(info: GPUAdapterInfo): AdapterKind {
  return info.isFallbackAdapter || softwareNames.test(adapterText(info)) ? "software" : "hardware";
}

/** Vendor, architecture, device and description in one line, without what is empty or said twice. */
export function adapterText(info: GPUAdapterInfo): string {
  const words: string[] = [];
  for (const word of [info.vendor, info.architecture, info.device, info.description]) {
    if (word && !words.includes(word)) words.push(word);
  }
  return words.join(", ") || "an adapter without a name";
}
