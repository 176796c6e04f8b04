import { ProgramError, tensor, type Tensor, zeros } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertExact } from "./helpers/compare.js";
import { affine, affineOf, combine, counting, moment, withGpu } from "./helpers/core.js";
import { assertRejects } from "./helpers/errors.js";

const scopes = suite("scopes");

scopes("temporaries go, what is returned lives on", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    let temporary: Tensor | undefined;
    const y = gpu.scope(() => {
      temporary = affine(x, 2, 0);
      return affine(temporary, 3, 1);
    });
    assert.ok(temporary?.disposed && !y.disposed);
    assert.is(gpu.memory().tensors, 2);
    assertExact(await y.data(), affineOf(counting(8), 6, 1));
  });
});

scopes(
  "what is returned is found in arrays, records, maps and sets, but not in what is not returned",
  async () => {
    await withGpu(async (gpu) => {
      const x = tensor(gpu, counting(8));
      const make = () => affine(x, 2, 0);
      const lost: Tensor[] = [];
      const kept = gpu.scope(() => {
        lost.push(make());
        const cycle: Record<string, unknown> = { list: [make(), [make(), null, undefined, 3]] };
        cycle.self = cycle;
        return {
          cycle,
          map: new Map([["a", make()]]),
          set: new Set([make()]),
          bare: Object.assign(Object.create(null), { t: make() }),
        };
      });
      assert.is(gpu.memory().tensors, 1 + 5);
      assert.ok(lost[0].disposed);
      assertExact((await kept.map.get("a")?.data()) ?? [], counting(8, 2));
    });
  },
);

scopes("nested scopes hand up what they return", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const seen: Tensor[] = [];
    const y = gpu.scope(() => {
      const inner = gpu.scope(() => {
        seen.push(affine(x, 2, 0));
        return affine(seen[0], 2, 0);
      });
      assert.ok(seen[0].disposed && !inner.disposed, "released by the inner scope");
      seen.push(inner);
      return combine(inner, inner);
    });
    assert.ok(seen[1].disposed, "released by the outer scope");
    assert.is(gpu.memory().tensors, 2);
    assertExact(await y.data(), counting(8, 16));
  });
});

scopes("a tensor may be disposed of in the scope that made it, an outer one may not", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    gpu.scope(() => {
      const y = affine(x, 2, 0);
      y.dispose();
      y.dispose();
      assert.throws(
        () => x.dispose(),
        (error: Error) => error instanceof ProgramError && /outside this scope/.test(error.message),
      );
      const z = affine(x, 2, 0);
      gpu.scope(() => assert.throws(() => z.dispose(), /outside this scope/));
      const view = x.reshape([2, 4]);
      view.dispose();
    });
    assert.ok(!x.disposed);
    assert.is(gpu.memory().tensors, 1);
    assertExact(await x.data(), counting(8));
  });
});

scopes("an exception inside releases everything and comes through", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const start = gpu.memory().tensors;
    const problem = new Error("of the caller");
    const run = () =>
      gpu.scope(() => {
        affine(x, 2, 0);
        gpu.scope(() => {
          zeros(gpu, [5]);
          throw problem;
        });
      });
    assert.throws(run, (error: Error) => error === problem);
    assert.is(gpu.memory().tensors, start);
    const after = affine(x, 2, 0);
    assert.is(gpu.memory().tensors, start + 1, "no scope is left open");
    after.dispose();
  });
});

scopes("waiting and uploading inside throw at once, and leave no rejection behind", async () => {
  await withGpu(async (gpu) => {
    const x = tensor(gpu, counting(8));
    const start = gpu.memory().tensors;
    let after = 0;
    const forbidden: [RegExp, () => unknown][] = [
      [/returned a promise/, async () => affine(x, 2, 0)],
      [
        /returned a promise/,
        async () => {
          await affine(x, 2, 0).data();
          after++;
        },
      ],
      // biome-ignore lint/suspicious/noThenProperty: what the scope looks at
      [/returned a promise/, () => ({ then: () => {} })],
      [
        /read-back inside a scope/,
        () => {
          void x.item();
        },
      ],
      [
        /read-back inside a scope/,
        () => {
          void x.data();
        },
      ],
      [
        /upload inside a scope/,
        () => {
          tensor(gpu, [1, 2]);
        },
      ],
      [
        /upload inside a scope/,
        () => {
          x.write(counting(8, 3));
        },
      ],
    ];
    for (const [message, body] of forbidden) {
      await assertRejects(() => gpu.scope(body), ProgramError, message);
      assert.is(gpu.memory().tensors, start);
    }
    await moment(20); // an unhandled rejection would end the process here
    assert.is(after, 0);
    assertExact(await x.data(), counting(8));
  });
});

scopes("values that are not tensors pass through", async () => {
  await withGpu((gpu) => {
    assert.is(
      gpu.scope(() => 3),
      3,
    );
    assert.is(
      gpu.scope(() => null),
      null,
    );
    assert.is(
      gpu.scope(() => undefined),
      undefined,
    );
    assert.is(
      gpu.scope(() => "text"),
      "text",
    );
  });
});

scopes.run();
