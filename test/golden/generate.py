"""Writes the golden files that the list at the end names, with PyTorch (1.13, CPU, float64) as the judge.

    python3 test/golden/generate.py

Inputs are whole multiples of 1/64, so that float32 holds them exactly; results are printed with 12 digits.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)


def draw(*shape):
    return torch.round(torch.randn(*shape) * 64) / 64


def tensor(x):
    x = torch.as_tensor(x).detach()
    return {"shape": list(x.shape), "data": [float(f"{v:.12g}") for v in x.double().flatten().tolist()]}


def case(name, params, inputs, outputs):
    pack = lambda group: {key: tensor(value) for key, value in group.items()}
    return {"name": name, "params": params, "inputs": pack(inputs), "outputs": pack(outputs)}


def gradients(y, *inputs):
    dy = draw(*y.shape)
    return (dy, *torch.autograd.grad(y, inputs, dy))


def matmul_broadcast():
    shapes = [((2, 1, 5, 7), (3, 7, 4)), ((1, 9), (4, 9, 2)), ((3, 2, 6, 3), (3, 1, 3, 5)), ((2, 4, 3), (3, 8))]
    for index, (left, right) in enumerate(shapes):
        a, b = draw(*left), draw(*right)
        yield case(f"matmulBroadcast{index}", {}, {"a": a, "b": b}, {"y": a @ b})


def conv2d_padding():
    cases = [((2, 3, 7, 6), (4, 3, 3, 2), [0, 1, 2, 0], [2, 1], [1, 2], 1), ((1, 4, 5, 8), (6, 2, 2, 3), [3, 0, 1, 2], [1, 3], [2, 1], 2)]
    for index, (image, kernel, padding, stride, dilation, groups) in enumerate(cases):
        x, w, bias = draw(*image).requires_grad_(), draw(*kernel).requires_grad_(), draw(kernel[0]).requires_grad_()
        top, left, bottom, right = padding
        padded = F.pad(x, (left, right, top, bottom))
        y = F.conv2d(padded, w, bias, stride=stride, dilation=dilation, groups=groups)
        dy, dx, dw, dbias = gradients(y, x, w, bias)
        params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        outputs = {"y": y, "dx": dx, "dw": dw, "dbias": dbias}
        yield case(f"conv2dPadding{index}", params, {"x": x, "w": w, "bias": bias, "dy": dy}, outputs)


def conv_transpose2d_general():
    cases = [
        ((2, 3, 4, 5), (3, 2, 3, 3), [2, 2], [1, 1], [1, 1], 1, [1, 1]),
        ((1, 4, 3, 6), (4, 3, 2, 4), [3, 2], [0, 2], [1, 2], 2, [2, 0]),
        ((2, 6, 5, 2), (6, 1, 4, 1), [1, 3], [2, 0], [2, 1], 3, [0, 2]),
        ((1, 2, 1, 1), (2, 5, 3, 2), [1, 1], [0, 0], [1, 1], 1, [0, 0]),
    ]
    for index, (image, kernel, stride, padding, dilation, groups, extra) in enumerate(cases):
        x, w = draw(*image).requires_grad_(), draw(*kernel).requires_grad_()
        bias = draw(kernel[1] * groups).requires_grad_()
        y = F.conv_transpose2d(x, w, bias, stride, padding, extra, groups, dilation)
        dy, dx, dw, dbias = gradients(y, x, w, bias)
        params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "outputPadding": extra}
        outputs = {"y": y, "dx": dx, "dw": dw, "dbias": dbias}
        yield case(f"convTranspose2dGeneral{index}", params, {"x": x, "w": w, "bias": bias, "dy": dy}, outputs)


def pool_indices():
    cases = [((2, 3, 7, 6), [3, 2], [2, 1], [1, 1]), ((1, 2, 5, 9), [2, 3], [2, 3], [0, 1]), ((1, 1, 8, 8), [4, 4], [1, 1], [2, 2])]
    for index, (image, kernel, stride, padding) in enumerate(cases):
        x = torch.randint(-3, 4, image).double().requires_grad_()  # few values: many ties
        y, argmax = F.max_pool2d(x, kernel, stride, padding, return_indices=True)
        dy, dx = gradients(y, x)
        params = {"kernel": kernel, "stride": stride, "padding": padding}
        yield case(f"poolIndices{index}", params, {"x": x, "dy": dy}, {"y": y, "argmax": argmax, "dx": dx})
    x = draw(2, 3, 5, 7).requires_grad_()
    y = F.adaptive_avg_pool2d(x, 1).flatten(1)
    dy, dx = gradients(y, x)
    yield case("globalAverage", {}, {"x": x, "dy": dy}, {"y": y, "dx": dx})


def softmax_axes():
    for index, (shape, axis) in enumerate([((3, 4, 5), 1), ((2, 7), 0), ((2, 3, 2, 5), -1)]):
        x = draw(*shape).mul(3).requires_grad_()
        y, z = torch.softmax(x, axis), torch.log_softmax(x, axis)
        dy = draw(*shape)
        outputs = {
            "softmax": y,
            "softmaxGrad": torch.autograd.grad(y, x, dy)[0],
            "logSoftmax": z,
            "logSoftmaxGrad": torch.autograd.grad(z, x, dy)[0],
        }
        yield case(f"softmaxAxes{index}", {"axis": axis}, {"x": x, "dy": dy}, outputs)


def reductions():
    for index, (shape, axes) in enumerate([((3, 4, 5), [1]), ((2, 7, 3), [0, 2]), ((2, 3, 4, 5), [-1, -3]), ((6, 11), [0, 1])]):
        x = draw(*shape)
        kept = [axis for axis in range(len(shape)) if axis not in [a % len(shape) for a in axes]]
        rest = x.permute(*kept, *sorted(a % len(shape) for a in axes)).flatten(len(kept))
        outputs = {
            "sum": x.sum(axes),
            "mean": x.mean(axes),
            "max": x.amax(axes),
            "min": x.amin(axes),
            "argmax": rest.argmax(-1),
            "l1Norm": torch.linalg.vector_norm(x, 1, axes),
            "l2Norm": torch.linalg.vector_norm(x, 2, axes),
        }
        yield case(f"reductions{index}", {"axes": axes}, {"x": x}, outputs)


def resize():
    for index, (image, size) in enumerate([((2, 3, 5, 7), [9, 4]), ((1, 2, 8, 6), [3, 13]), ((1, 1, 1, 4), [5, 1]), ((1, 2, 6, 6), [6, 6])]):
        x = draw(*image).requires_grad_()
        y = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        dy, dx = gradients(y, x)
        yield case(f"resize{index}", {"size": size}, {"x": x, "dy": dy}, {"y": y, "dx": dx})


def gaussian_blur():
    modes = {"reflect": "reflect", "replicate": "replicate", "zero": "constant"}
    for index, (sigma, size, border) in enumerate([(1.0, 7, "reflect"), (0.6, 3, "replicate"), (2.5, 9, "zero")]):
        x = draw(2, 2, 9, 8)
        radius = (size - 1) // 2
        line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0) / sigma) ** 2)
        line = line / line.sum()
        padded = F.pad(x, (radius,) * 4, mode=modes[border])
        kernel = torch.outer(line, line).expand(2, 1, size, size)
        params = {"sigma": sigma, "kernelSize": size, "border": border}
        yield case(f"gaussianBlur{index}", params, {"x": x}, {"y": F.conv2d(padded, kernel, groups=2)})


def sorting():
    for index, (shape, k, axis) in enumerate([((4, 9), 3, -1), ((5, 3, 2), 4, 0), ((2, 17), 17, 1)]):
        x = torch.randint(-4, 5, shape).double()  # few values: many ties, kept in order by a stable sort
        up = torch.sort(x, dim=axis, stable=True)
        down = torch.sort(x, dim=axis, descending=True, stable=True)
        outputs = {"values": up[0], "indices": up[1], "valuesDown": down[0], "indicesDown": down[1]}
        outputs["topK"] = torch.topk(x, k, axis)[0]
        yield case(f"sorting{index}", {"k": k, "axis": axis}, {"x": x}, outputs)


def optimizer_variants():
    makers = {
        "nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.02, "nesterov": True}),
        "sgdPlain": (torch.optim.SGD, {"lr": 0.3}),
        "adamDecay": (torch.optim.Adam, {"lr": 0.02, "betas": [0.8, 0.99], "eps": 1e-6, "weight_decay": 0.1}),
    }
    for name, (maker, options) in makers.items():
        start, grads = draw(20), draw(6, 20)
        p = start.clone().requires_grad_()
        optimizer = maker([p], **options)
        for grad in grads:
            p.grad = grad.clone()
            optimizer.step()
        params = {key.replace("weight_decay", "weightDecay"): value for key, value in options.items()}
        yield case(name, params, {"p": start, "grads": grads}, {"p": p})
    for name, limit in [("clipNorm", 1.5), ("clipNormLoose", 1e3), ("clipValue", 0.4)]:
        grads = [draw(7, 3), draw(11)]
        holders = [torch.zeros_like(g).requires_grad_() for g in grads]
        for holder, grad in zip(holders, grads):
            holder.grad = grad.clone()
        clip = torch.nn.utils.clip_grad_value_ if name == "clipValue" else torch.nn.utils.clip_grad_norm_
        norm = clip(holders, limit)
        outputs = {"a": holders[0].grad, "b": holders[1].grad, "norm": 0.0 if norm is None else norm}
        yield case(name, {"limit": limit}, {"a": grads[0], "b": grads[1]}, outputs)


def schedules():
    schedulers = torch.optim.lr_scheduler
    makers = {
        "step": (schedulers.StepLR, {"step_size": 4, "gamma": 0.5}),
        "cosine": (schedulers.CosineAnnealingLR, {"T_max": 20, "eta_min": 0.01}),
        "linear": (schedulers.LinearLR, {"start_factor": 0.1, "total_iters": 8}),
        "oneCycle": (schedulers.OneCycleLR, {"max_lr": 0.3, "total_steps": 20}),
        "oneCycleOdd": (schedulers.OneCycleLR, {"max_lr": 2.0, "total_steps": 20, "pct_start": 0.43, "div_factor": 10, "final_div_factor": 50}),
    }
    for name, (maker, options) in makers.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        scheduler = maker(optimizer, **options)
        rates = []
        for _ in range(20):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < 20:
                scheduler.step()
        yield case(name, {"lr": 0.3, **options}, {}, {"rates": torch.tensor(rates)})


FILES = {
    "matmulBroadcast": matmul_broadcast,
    "conv2dPadding": conv2d_padding,
    "convTranspose2dGeneral": conv_transpose2d_general,
    "poolIndices": pool_indices,
    "softmaxAxes": softmax_axes,
    "reductions": reductions,
    "resize": resize,
    "gaussianBlur": gaussian_blur,
    "sorting": sorting,
    "optimizerVariants": optimizer_variants,
    "schedules": schedules,
}

for file, cases in FILES.items():
    path = pathlib.Path(__file__).with_name(f"{file}.json")
    path.write_text(json.dumps({"source": "PyTorch 1.13 CPU, float64", "cases": list(cases())}) + "\n")
