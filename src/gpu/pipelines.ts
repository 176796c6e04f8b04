/**
 * Compiled kernels. Compilation is asynchronous and shared while in flight; one that fails is forgotten, so that
 * a later call tries again. The key holds what the pipeline depends on: source, constants and binding modes.
 */
import { KernelError, LimitError } from "./errors.js";
import { halfBinding } from "./half_binding.js";
import { type Constants, specializeWgsl } from "./wgsl.js";
import { mergeBinding, type WgslInterface } from "./wgsl_interface.js";

const COMPUTE_STAGE = 4;

/** A pipeline that is compiling or ready. */
export interface Pipeline {
  readonly name: string;
  readonly layout: GPUBindGroupLayout;
  /** Set once compiled. */
  compiled?: GPUComputePipeline;
  /** Set once compilation failed. */
  failure?: KernelError;
  readonly ready: Promise<void>;
}

export interface PipelineSource {
  readonly name: string;
  readonly wgsl: string;
  readonly interface: WgslInterface;
}

/** How the bindings of one call differ from those that the WGSL declares. */
export interface BindingForms {
  /** [input, output] of an in-place call. */
  readonly merged?: readonly [string, string];
  /** Inputs that are stored as f16. */
  readonly halves?: readonly string[];
}

/** Pipelines of one source text by constants and forms of the bindings. */
type Variants = Map<string, Pipeline>;

export class PipelineCache {
  /** How many look-ups were made: a replayed program makes none. */
  lookups = 0;
  /** Finds the variants without hashing a source text for each dispatch. */
  private readonly bySource = new WeakMap<PipelineSource, Variants>();
  /** Kernels made again from the same text share their pipelines. */
  private readonly byText = new Map<string, Variants>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();

  constructor(private readonly device: GPUDevice) {}

  /** The pipeline of a source with these constants. */
  get(source: PipelineSource, constants: Constants, { merged, halves }: BindingForms = {}): Pipeline {
    this.lookups++;
    const variants = this.variantsOf(source);
    let key = merged ? merged.join("=") : "";
    if (halves) key += `|${halves.join()}`;
    for (const name in constants) key += `;${name}:${constants[name]}`;
    const known = variants.get(key);
    if (known) return known;
    let text = merged ? mergeBinding(source.wgsl, merged[0], merged[1]) : source.wgsl;
    for (const name of halves ?? []) text = halfBinding(source.name, text, name, widthOf(source, name));
    const pipeline = this.compile(source, text, constants, merged?.[0]);
    variants.set(key, pipeline);
    pipeline.ready.catch(() => variants.delete(key));
    return pipeline;
  }

  private variantsOf(source: PipelineSource): Variants {
    const known = this.bySource.get(source);
    if (known) return known;
    const text = `${source.name}\n${source.wgsl}`;
    const variants: Variants = this.byText.get(text) ?? new Map();
    this.byText.set(text, variants);
    this.bySource.set(source, variants);
    return variants;
  }

  private compile(source: PipelineSource, text: string, constants: Constants, dropped?: string): Pipeline {
    const { code, lines } = specializeWgsl(source.name, text, constants);
    const layout = this.layout(source, dropped);
    const pipeline: Pipeline = {
      name: source.name,
      layout,
      ready: this.build(source.name, code, lines, layout).then(
        (compiled) => {
          pipeline.compiled = compiled;
        },
        (error: KernelError) => {
          pipeline.failure = error;
          throw error;
        },
      ),
    };
    return pipeline;
  }

  private async build(name: string, code: string, lines: readonly number[], layout: GPUBindGroupLayout) {
    const { device } = this;
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code, label: name });
    const moduleError = device.popErrorScope();
    try {
      const compiled = await device.createComputePipelineAsync({
        label: name,
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module },
      });
      await moduleError;
      return compiled;
    } catch (cause) {
      const scopeError = await moduleError.catch(() => null);
      throw new KernelError(await explain(name, code, lines, module, scopeError ?? cause), { cause });
    }
  }

  /** @throws LimitError */
  private layout({ name, interface: declared }: PipelineSource, dropped?: string): GPUBindGroupLayout {
    const most = this.device.limits.maxStorageBuffersPerShaderStage;
    const count = declared.storage.length - (dropped === undefined ? 0 : 1);
    if (count > most) {
      throw new LimitError(
        `kernel ${name}: it binds ${count} tensors, and this adapter takes ${most} in a kernel; split it`,
      );
    }
    const entries: GPUBindGroupLayoutEntry[] = declared.storage
      .filter((binding) => binding.name !== dropped)
      .map(({ index, writable }) => ({
        binding: index,
        visibility: COMPUTE_STAGE,
        buffer: { type: writable ? "storage" : "read-only-storage" },
      }));
    if (declared.uniform) {
      entries.push({
        binding: declared.uniform.index,
        visibility: COMPUTE_STAGE,
        buffer: { type: "uniform" },
      });
    }
    const key = entries.map((entry) => `${entry.binding}${entry.buffer?.type}`).join();
    const layout = this.layouts.get(key) ?? this.device.createBindGroupLayout({ entries });
    this.layouts.set(key, layout);
    return layout;
  }
}

function widthOf({ interface: { storage } }: PipelineSource, name: string): number {
  return storage.find((binding) => binding.name === name)?.width ?? 1;
}

/** The compiler's messages, each with the line of the `.wgsl` file it speaks of. */
async function explain(
  name: string,
  code: string,
  lines: readonly number[],
  module: GPUShaderModule,
  fallback: unknown,
): Promise<string> {
  const text = code.split("\n");
  const info = await module.getCompilationInfo().catch(() => undefined);
  const messages = (info?.messages ?? [])
    .filter((message) => message.type === "error")
    .map((message) => {
      const line = lines[message.lineNum - 1];
      return `${name}.wgsl:${line ?? "?"}: ${message.message}\n    ${text[message.lineNum - 1]?.trim() ?? ""}`;
    });
  if (messages.length > 0) return `kernel ${name} did not compile:\n  ${messages.join("\n  ")}`;
  return `kernel ${name} did not compile: ${fallback instanceof Error || hasMessage(fallback) ? fallback.message : String(fallback)}`;
}

function hasMessage(value: unknown): value is { message: string } {
  return typeof value === "object" && value !== null && "message" in value;
}
