"""Compiles a program in StableHLO for an H100 with XLA's CUDA plugin, without a card, and tells what the result comes to.

    judge.py PROGRAM FOLDER [FLAG...]    compiles; XLA's dumps go to FOLDER
    judge.py FOLDER                      reads the dumps that lie there

The times are modelled, not measured: a kernel takes the longer of its bytes at 2.75 TB/s and its operations at 620 TFLOP/s (flash
attention: 150), and 1 us. The model knows nothing of how reads are coalesced, so results in an unusual order are counted. Without a
card nothing is tuned: all products are cuBLAS's, where on a card Triton's compete with them.
"""
import collections, glob, math, os, re, sys, threading, time

BANDWIDTH, PRODUCTS, ATTENTION, LAUNCH = 2.75e12, 620e12, 150e12, 1e-6
LARGE = 1 << 20  # bytes
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "s64": 8, "u64": 8}
ARRAY = re.compile(r"\b(%s)\[([\d,]*)\](?:\{([\d,]*))?" % "|".join(BYTES))
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*)?\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*?)\)(?:, (.*))?$")
FLAGS = ["--xla_dump_hlo_as_text", "--xla_dump_hlo_as_long_text=false", "--xla_gpu_exclude_nondeterministic_ops=true",
         "--xla_gpu_enable_triton_gemm=false", "--xla_gpu_autotune_level=0", "--xla_gpu_enable_command_buffer=",
         "--xla_gpu_enable_allocator_spatial_partitioning=false"]


def compile(program, folder, flags):
    """Ends the process once XLA has written its plan of the memory: generating code would take as long again, and a whole toolkit."""
    os.environ.update(JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="2", XLA_FLAGS=" ".join([f"--xla_dump_to={folder}", *FLAGS, *flags]))
    threading.Thread(target=watch, args=(folder, time.time()), daemon=True).start()
    from jax.experimental import topologies
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import _jax
    from jax._src.lib.mlir import ir
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "h100.txtpb")) as f:
        topology = topologies.get_topology_desc("h100", "cuda", target_config=f.read(), topology="1x1x1")
    device = topology.devices[0]
    with mlir.make_ir_context(), open(program) as f:
        module = ir.Module.parse(f.read())
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    device.client.compile(module, _jax.DeviceList((device,)), options)
    time.sleep(5)  # watch ends the process
    sys.exit("XLA has written no plan")


def watch(folder, begun):
    """Waits for the memory plan and for the files that tell reads, which XLA writes seconds later on a busy machine."""
    wanted, before = ("*-memory-usage-report.txt", "*-buffer-assignment.txt", "*gpu_after_optimizations.txt"), None
    while True:
        time.sleep(1)
        sizes = [sum(os.path.getsize(f) for f in glob.glob(os.path.join(folder, name))) for name in wanted]
        if sizes == before and all(sizes) and whole(folder):
            tell(folder)
            print(f"compiled in {time.time() - begun:.0f} s", flush=True)
            os._exit(0)
        before = sizes


def whole(folder):
    """Whether the optimized program has been written to its end."""
    with open(glob.glob(os.path.join(folder, "*gpu_after_optimizations.txt"))[0]) as f:
        return f.read().endswith("}\n\n")


def parse(file):
    """The computations of a module by name, each a list of (name, type, operation, operands, attributes), and the entry's."""
    computations, entry = {}, None
    for line in file:
        line = re.sub(r"/\*.*?\*/", "", line).rstrip()
        if m := HEAD.match(line):
            current = computations[m[2]] = []
            entry = current if m[1] else entry
        elif m := INSTRUCTION.match(line.replace("%", "")):
            current.append((m[1], m[2], m[3], [o.split(" ")[-1] for o in m[4].split(", ")], m[5] or ""))
    return computations, entry


def count(dims):
    return math.prod(int(d) for d in dims.split(",") if d)


def size(type):
    return sum(BYTES[element] * count(dims) for element, dims, _ in ARRAY.findall(type))


def typed(computation):
    """The type of each value, and of each part "name#1" of a tuple."""
    types = {name: type for name, type, *_ in computation}
    for name, type, *_ in computation:
        types.update({f"{name}#{i}": part[0] for i, part in enumerate(ARRAY.finditer(type)) if type.startswith("(")})
    return types


def reads(computation):
    """The bytes that a fused computation reads: of a parameter that is only sliced or gathered, the parts."""
    users = collections.defaultdict(list)
    for _, type, operation, operands, _ in computation:
        for o in operands:
            users[o].append(size(type) if operation in ("slice", "dynamic-slice", "gather") else math.inf)
    return sum(min(sum(users[name]), size(type)) for name, type, operation, *_ in computation if operation == "parameter")


def product(type, operands, types, attributes):
    """The operations of a matrix product."""
    dims = ARRAY.search(types[operands[0]])[2].split(",")
    axes = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', attributes)[1].replace('"', "")
    return 2 * count(ARRAY.search(type)[2]) * math.prod(int(dims[int(a)]) for a in axes.split(","))


def kernels(computations, entry):
    """Every kernel: (kind, bytes read, bytes written, operations, type, name, attributes)."""
    types = typed(entry)
    for name, type, operation, operands, attributes in entry:
        if operation in ("parameter", "constant", "bitcast", "tuple", "get-tuple-element"):
            continue
        kind, flops, read = operation, 0, sum(size(types.get(o, "")) for o in operands)
        if operation == "fusion":
            inner = computations[re.search(r"calls=%?([\w.\-]+)", attributes)[1]]
            read = reads(inner)
            kind = "triton" if "__triton" in attributes else re.search(r"kind=k(\w+)", attributes)[1].lower()
            for _, t, op, o, a in inner:
                if op == "custom-call":
                    kind, flops = "product", product(t, o, typed(inner), a)
        elif "cublas" in attributes:
            kind, flops = "product", product(type, operands, types, attributes)
        elif "fmha" in attributes:
            kind, dims = "flash", [int(d) for d in ARRAY.search(attributes)[2].split(",")]  # [B, T, H, A]
            flops = 4 * math.prod(dims) * dims[1] * (2.5 if "Backward" in attributes else 1)
        workspace = sum(size(t) for t in re.findall(r"s8\[\d+\]", type))
        yield kind, read, size(type) - workspace, flops, type, name, attributes


def tell(folder):
    with open(glob.glob(os.path.join(folder, "*gpu_after_optimizations.txt"))[0]) as f:
        computations, entry = parse(f)
    with open(glob.glob(os.path.join(folder, "*-buffer-assignment.txt"))[0]) as f:
        temporary = sum(int(n) for n in re.findall(r"size (\d+), [^\n]*preallocated-temp", f.read()))
    sums, unusual, wide = collections.defaultdict(lambda: [0] * 5), [], 0
    for kind, read, written, flops, type, name, _ in kernels(computations, entry):
        seconds = LAUNCH + max((read + written) / BANDWIDTH, flops / (ATTENTION if kind == "flash" else PRODUCTS))
        for k in (kind, "all"):
            sums[k] = [a + b for a, b in zip(sums[k], (1, read, written, flops, seconds))]
        wide += kind == "product" and type.lstrip("(").startswith("f32")
        for element, dims, order in ARRAY.findall(type) if kind != "flash" else ():
            if BYTES[element] * count(dims) >= LARGE and sorted(order.split(","), key=int, reverse=True) != order.split(","):
                unusual.append(f"{name}: {element}[{dims}]{{{order}}}")
    for kind, (n, read, written, flops, seconds) in sorted(sums.items(), key=lambda s: -s[1][4]):
        print(f"{kind:8} {n:5} kernels {1e3 * seconds:6.2f} ms modelled {read / 1e9:6.2f} GB read {written / 1e9:6.2f} GB written"
              f" {flops / 1e12:6.2f} TFLOP")
    copies = sum(op in ("copy", "transpose") and size(type) >= LARGE for _, type, op, *_ in entry)
    print(f"{temporary / 1e9:.2f} GB temporary; {wide} products to float32, {copies} large copies, {len(unusual)} large results in an unusual order")
    print(*(f"  {u}\n" for u in unusual[:8]), sep="", end="")


if len(sys.argv) == 2:
    tell(sys.argv[1])
else:
    compile(sys.argv[1], sys.argv[2], sys.argv[3:])
