"""Single operations by family, from calls on 4 elements to arrays of a gigabyte."""

from .row import Row

MB = 1 << 20
LARGE = "a, b, c = torch.randn(1 << 24), torch.randn(1 << 24), torch.empty(1 << 24)"
SQUARE = "a, g = torch.randn(4096, 4096), torch.randn(4096, 4096)"


def calls() -> list[Row]:
    four = "a, b = torch.ones(4), torch.ones(4)"
    with_grad = "a = torch.ones(4, requires_grad=True)\nb = torch.ones(4, requires_grad=True)"
    return [
        Row("call", "a + b, 4 elements", four, "a + b", 5),
        Row("call", "a + b, 4 elements, with gradient", with_grad, "a + b", 4),
        Row("call", "(a * b).sum().backward(), 4 elements", with_grad, "(a*b).sum().backward()", 6),
    ]


def products() -> list[Row]:
    rows = []
    for size in (8, 16, 32, 48, 64, 96, 128, 256, 512, 1024, 2048, 4096):
        at_least = 2 if size <= 32 else 1.3 if size <= 64 else 0.97
        setup = f"a, b, c = (torch.randn({size}, {size}) for _ in range(3))"
        flops = 2.0 * size**3
        rows.append(Row("matmul", f"a @ b, {size}", setup, "a @ b", at_least, flops))
        name, statement = f"mm(a, b, out=c), {size}", "torch.mm(a, b, out=c)"
        rows.append(Row("matmul", name, setup, statement, at_least, flops))
    for size in (32, 64, 128, 256, 1024, 4096):
        setup = f"a, b = (torch.randn({size}, {size}).bfloat16() for _ in range(2))"
        name, flops = f"a @ b, bfloat16, {size}", 2.0 * size**3
        at_least = 3 if size <= 128 else 1.6
        rows.append(Row("matmul in bfloat16", name, setup, "a @ b", at_least, flops, bf16=True))
    return rows


def rounded_products() -> list[Row]:
    """Products of float32 that may be rounded, against PyTorch's that are not, and of int8."""
    rows = []
    for precision, at_least in (("high", 2.5), ("medium", 1.6)):
        for size in (128, 256, 512, 1024, 2048, 4096):
            mark = at_least if size >= 1024 else 0.97
            setup = (
                f"a, b = (torch.randn({size}, {size}) for _ in range(2))\n"
                f"if torch.__name__ == 'ember': torch.set_float32_matmul_precision('{precision}')"
            )
            name, flops = f'a @ b, "{precision}", {size}', 2.0 * size**3
            rows.append(Row("matmul rounded", name, setup, "a @ b", mark, flops, bf16=True))
    for size in (128, 1024, 4096):
        setup = "a, b = (torch.randint(-128, 128, ({0}, {0}), dtype=torch.int8) for _ in range(2))"
        name = f"_int_mm(a, b), {size}"
        rows.append(Row("matmul of int8", name, setup.format(size), "torch._int_mm(a, b)", 0.97))
    return rows


def pointwise() -> list[Row]:
    rows = []
    for fresh, arrays in (("a + b", 3), ("a * b", 3), ("torch.relu(a)", 2), ("torch.exp(a)", 2)):
        rows.append(row("pointwise", fresh, LARGE, fresh, 2, 64 * arrays))
    for out, arrays in (("add(a, b", 3), ("mul(a, b", 3), ("exp(a", 2)):
        statement = f"torch.{out}, out=c)"
        rows.append(row("pointwise", statement, LARGE, statement, 1, 64 * arrays))
    rows.append(row("pointwise", "torch.relu_(a)", LARGE, "torch.relu_(a)", 1, 128))
    for name in ("F.gelu", "F.silu", "torch.tanh", "torch.sigmoid"):
        rows.append(row("pointwise", f"{name}(a)", LARGE, f"{name}(a)", 1.3, 128))
    table = SQUARE + "\nbias = torch.randn(4096)"
    rows.append(row("pointwise", "a + bias, 4096 x 4096", table, "a + bias", 1.3, 128))
    rows.append(row("pointwise", "a.t().contiguous()", SQUARE, "a.t().contiguous()", 1.3, 128))
    rows.append(row("pointwise", "a.bfloat16()", LARGE, "a.bfloat16()", 1.3, 96))
    rows.append(row("pointwise", "torch.cat([a, b])", LARGE, "torch.cat([a, b])", 1.3, 256))
    gigabyte = "a, c = torch.randn(1 << 28), torch.empty(1 << 28)"
    for out in ("relu(a, out=c)", "exp(a, out=c)"):
        text = f"torch.{out}".replace("torch.relu(a", "torch.clamp_min(a, 0")
        rows.append(row("gigabyte", f"{text}, 1 GiB", gigabyte, text, 1, 2048, ""))
    text, sum_of = "torch.add(a, b, out=c)", f"{gigabyte}\nb = torch.randn(1 << 28)"
    rows.append(row("gigabyte", f"{text}, 1 GiB", sum_of, text, 1, 3072, ""))
    table = "a, w, b = torch.randn(1 << 16, 1 << 12), torch.rand(1 << 12), torch.randn(1 << 12)"
    images = "x, w, b = torch.randn(64, 64, 256, 256), torch.rand(64), torch.randn(64)"
    moments = "mean, var = torch.zeros(64), torch.ones(64)"
    for setup, text, moved in (
        (table, "F.softmax(a, -1)", 2048),
        (table, "F.layer_norm(a, (4096,), w, b)", 2048),
        (table, "F.rms_norm(a, (4096,), w)", 2048),
        (f"{images}\n{moments}", "F.batch_norm(x, mean, var, w, b, True)", 3072),
    ):
        rows.append(row("gigabyte", f"{text}, 1 GiB", setup, text, 1.3, moved, ""))
    setup = (
        "ps = [torch.randn(1 << 26, requires_grad=True) for _ in range(4)]\n"
        "for p in ps: p.grad = torch.randn(1 << 26)\n"
        "o = torch.optim.Adam(ps, lr=1e-3)"
    )
    rows.append(row("gigabyte", "Adam, 4 x 256 MB", setup, "o.step()", 1.3, 7168, ""))
    return rows


def row(
    group: str,
    name: str,
    setup: str,
    statement: str,
    at_least: float,
    megabytes: float,
    size: str = ", 64 MB",
    fraction: float = 0.85,
) -> Row:
    """The row of an operation that memory bounds, on arrays of 64 MB where `size` says so."""
    moved = megabytes * MB
    return Row(group, name + size, setup, statement, at_least, bytes=moved, fraction=fraction)


def gradient(forward: str, *inputs: str, grad: str = "torch.randn_like(y)") -> str:
    """A setup's last lines: the backward pass alone is `backward()`."""
    marked = "".join(f"{name}.requires_grad_()\n" for name in inputs)
    names = ", ".join(inputs)
    return (
        f"\n{marked}y = {forward}\ngrad = {grad}\n"
        f"def backward():\n    return torch.autograd.grad(y, [{names}], grad, retain_graph=True)\n"
    )


def rows_of_a_table() -> list[Row]:
    """Reductions, softmax, losses and normalisations of tables and of images."""
    rows = []
    for name in ("a.sum()", "a.sum(0)", "a.sum(1)", "a.var(1)", "a.amax(1)", "a.argmax(1)"):
        at_least = 0.95 if name == "a.sum()" else 1.3
        rows.append(row("reduction", name, SQUARE, name, at_least, 64))
    rows.append(row("reduction", "a.cumsum(1)", SQUARE, "a.cumsum(1)", 1.3, 128))
    for name in ("softmax", "log_softmax"):
        text = f"F.{name}(a, -1)"
        rows.append(row("softmax", text, SQUARE, text, 1.3, 128))
        setup = SQUARE + gradient(text, "a", grad="g")
        rows.append(row("softmax", f"{name} backward", setup, "backward()", 1.3, 192))
    setup = SQUARE + "\ny = torch.randint(0, 4096, (4096,))\na.requires_grad_()"
    text = "torch.autograd.grad(F.cross_entropy(a, y), a)"
    rows.append(row("softmax", "cross_entropy and backward", setup, text, 1.3, 192))

    table = SQUARE + "\nw, b = torch.rand(4096), torch.randn(4096)"
    text = "F.layer_norm(a, (4096,), w, b)"
    rows.append(row("norm", "layer_norm", table, text, 1.3, 128))
    setup = table + gradient(text, "a", "w", "b", grad="g")
    rows.append(row("norm", "layer_norm backward", setup, "backward()", 1.3, 192))
    images = "x, g = torch.randn(16, 64, 128, 128), torch.randn(16, 64, 128, 128)\n"
    images += "w, b, mean, var = torch.rand(64), torch.randn(64), torch.zeros(64), torch.ones(64)"
    for name, text in (
        ("batch_norm", "F.batch_norm(x, mean, var, w, b, True)"),
        ("group_norm", "F.group_norm(x, 8, w, b)"),
    ):
        rows.append(row("norm", name, images, text, 1.3, 192))
        setup = images + gradient(text, "x", "w", "b", grad="g")
        rows.append(row("norm", f"{name} backward", setup, "backward()", 1.3, 256))
    return rows


CONVOLUTIONS = (
    # batch, channels in, side, channels out, kernel, stride, padding, groups
    (16, 16, 32, 16, 3, 1, 1, 1),
    (16, 64, 32, 64, 3, 1, 1, 1),
    (16, 64, 32, 128, 3, 2, 1, 1),
    (16, 256, 8, 256, 3, 1, 1, 1),
    (16, 512, 4, 512, 3, 1, 1, 1),
    (16, 128, 28, 32, 1, 1, 0, 1),
    (32, 64, 16, 128, 4, 2, 1, 1),
    (16, 96, 56, 96, 3, 1, 1, 96),
    (16, 1, 28, 32, 3, 1, 1, 1),
)


def convolutions() -> list[Row]:
    rows = []
    for n, c, side, k, kernel, stride, pad, groups in CONVOLUTIONS:
        out = (side + 2 * pad - kernel) // stride + 1
        flops = 2.0 * n * k * out * out * c // groups * kernel**2
        name = f"{kernel}x{kernel}/{stride}, {n} x {c} x {side}² to {k}"
        if groups > 1:
            name += ", depthwise"
        setup = (
            f"x, w = torch.randn({n}, {c}, {side}, {side}), "
            f"torch.randn({k}, {c // groups}, {kernel}, {kernel})"
        )
        text = f"F.conv2d(x, w, None, {stride}, {pad}, 1, {groups})"
        rows.append(Row("convolution", f"conv {name}", setup, text, 1.3, flops))
        for what, operand in (("input", "x"), ("weight", "w")):
            grad = setup + gradient(text, operand)
            called = f"conv, {what}'s gradient {name}"
            rows.append(Row("convolution", called, grad, "backward()", 1.3, flops))
    setup = "x, w = torch.randn(32, 128, 8, 8), torch.randn(128, 64, 4, 4)"
    text, flops = "F.conv_transpose2d(x, w, None, 2, 1)", 2.0 * 32 * 64 * 128 * 64 * 16
    name = "4x4/2, 32 x 128 x 8² to 64"
    rows.append(Row("convolution", f"conv_transpose {name}", setup, text, 1.3, flops))
    return rows


def attentions() -> list[Row]:
    rows = []
    for batch, heads, length, width, causal in (
        (64, 4, 64, 32, False),
        (4, 6, 256, 64, True),
        (32, 3, 65, 64, False),
        (1, 8, 2048, 64, True),
    ):
        share = 0.5 if causal else 1.0
        flops = 4.0 * batch * heads * length**2 * width * share
        for dtype, bf16 in (("float32", False), ("bfloat16", True)):
            setup = (
                f"q, k, v = (torch.randn({batch}, {heads}, {length}, {width})"
                f".to(torch.{dtype}) for _ in range(3))"
            )
            text = f"F.scaled_dot_product_attention(q, k, v, is_causal={causal})"
            name = f"attention{' causal' if causal else ''}, {batch} x {heads} x {length} x {width}"
            name += f", {dtype}"
            rows.append(Row("attention", name, setup, text, 1.3, flops, bf16=bf16))
            setup += gradient(text, "q", "k", "v")
            rows.append(
                Row(
                    "attention",
                    f"{name}, backward",
                    setup,
                    "backward()",
                    1.3,
                    2.5 * flops,
                    bf16=bf16,
                )
            )
    return rows


def others() -> list[Row]:
    """Indexing, pooling, resampling, sorting, random numbers and optimisers."""
    rows = []
    setup = "table, i = torch.randn(16384, 256), torch.randint(0, 16384, (65536,))\n"
    text = "F.embedding(i, table)"
    rows.append(row("index", text, setup, text, 1.3, 128))
    text = "F.embedding(i, table)"
    grad = setup + gradient(text, "table")
    rows.append(row("index", "embedding backward", grad, "backward()", 1.3, 96))
    setup += "b = torch.randn(65536, 256)"
    text = "table.index_add(0, i, b)"
    rows.append(row("index", text, setup, text, 1.3, 96))
    setup = SQUARE + "\ni = torch.randint(0, 4096, (4096, 4096))"
    text = "a.gather(1, i)"
    rows.append(row("index", text, setup, text, 1.3, 256))
    text = "a.scatter_add(1, i, g)"
    rows.append(row("index", text, setup, text, 1.3, 384))

    setup = "x = torch.randn(16, 64, 128, 128)"
    for name, text, moved in (
        ("max_pool2d", "F.max_pool2d(x, 2)", 80),
        ("avg_pool2d", "F.avg_pool2d(x, 2)", 80),
        ("upsample nearest", "F.interpolate(x, scale_factor=2.0, mode='nearest')", 320),
        (
            "upsample bilinear",
            "F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)",
            320,
        ),
    ):
        rows.append(row("image", name, setup, text, 1.3, moved, fraction=0))
        grad = setup + gradient(text, "x")
        rows.append(row("image", f"{name} backward", grad, "backward()", 1.3, moved, fraction=0))

    rows.append(Row("sort", "a.sort(), 1M", "a = torch.randn(1 << 20)", "a.sort()", 1.3))
    setup = "a = torch.randn(256, 65536)"
    rows.append(row("sort", "a.topk(50), 256 rows", setup, "a.topk(50)", 1.3, 64, fraction=0))
    for text in ("torch.randn(1 << 20)", "torch.rand(1 << 20)", "torch.randperm(1 << 20)"):
        rows.append(Row("random", text, "", text, 1.3))
    setup = "a = torch.randn(1 << 22)"
    rows.append(Row("random", "F.dropout(a), 16 MB", setup, "F.dropout(a)", 1.3))

    parameters = (
        "ps = [torch.randn(160_000, requires_grad=True) for _ in range(100)]\n"
        "for p in ps: p.grad = torch.randn(160_000)\n"
    )
    for name, text, arrays in (
        ("SGD with momentum", "SGD(ps, lr=1e-3, momentum=0.9)", 5),
        ("Adam", "Adam(ps, lr=1e-3)", 7),
        ("AdamW", "AdamW(ps, lr=1e-3)", 7),
    ):
        setup = f"{parameters}o = torch.optim.{text}\n"
        statement, moved = "o.step()", 64 * arrays / 1.048576
        rows.append(row("optimiser", f"{name}, 100 x 160,000", setup, statement, 1.3, moved, ""))
    return rows


def rows() -> list[Row]:
    matrices = (products, rounded_products, convolutions, attentions)
    families = (calls, *matrices, pointwise, rows_of_a_table, others)
    return [each for family in families for each in family()]
