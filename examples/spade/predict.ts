// Classes of a whole data set.
import type { Gpu } from "handgrad";
import { type Dataset, DeviceSet } from "handgrad/data";
import { predictClasses, type Sequential } from "handgrad/layers";

export async function predict(gpu: Gpu, model: Sequential, data: Dataset): Promise<Uint32Array> {
  const set = new DeviceSet(gpu, data);
  try {
    return await predictClasses(model, set);
  } finally {
    set.dispose();
  }
}
