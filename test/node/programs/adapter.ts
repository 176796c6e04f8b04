// Opens the adapter that the first argument names ("" for the best), multiplies, and prints what was taken and
// whether anything has been added to globalThis, as JSON.
const namesBefore = new Set<PropertyKey>(Reflect.ownKeys(globalThis));
const navigatorBefore = (globalThis as { navigator?: unknown }).navigator;
const { matmul, openGpu, tensor } = await import("handgrad");

const gpu = await openGpu({ adapter: process.argv[2] || undefined });
const product = await matmul(tensor(gpu, [[1, 2]]), tensor(gpu, [[3], [4]])).data();
gpu.dispose();
const added = Reflect.ownKeys(globalThis).filter((name) => !namesBefore.has(name));
if ((globalThis as { navigator?: unknown }).navigator !== navigatorBefore) added.push("navigator");
const { driver, kind, description } = gpu.info;
console.log(JSON.stringify({ driver, kind, description, product: [...product], added: added.map(String) }));
export {};
