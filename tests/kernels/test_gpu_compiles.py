"""The GPU kernels through the real compiler, down to machine code for Hopper: no GPU is needed for that."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("triton")

import triton

from spinlight.kernels import gpu, gpu_oscillators
from spinlight.kernels.gpu_run import Tiles

DENSE = {"spins": "*i8", "parts": "*fp16", "sweeps": "i32", "sites": "i32", "field_stride": "i32"}
SPARSE = {
    "spins": "*i8",
    "order": "*i64",
    "starts": "*i64",
    "neighbours": "*i64",
    "scale": "fp32",
    "begin": "i32",
    "chain_count": "i32",
    "site_stride": "i32",
    "chain_stride": "i32",
}
RUNS = {"runs": "i32", "steps": "i32", "site_stride": "i32", "run_stride": "i32", "step": "u64"}
NUMBERS = dict.fromkeys(("scale", "pull", "quantum", "measured", "force", "spread"), "fp32")
COMMON = {"seed": "u64", "first_sweep": "u64", "sweep": "u64"}
TILES = Tiles()
DENSE_SIZES = {"CHAINS": TILES.chains, "BLOCK": TILES.block, "DEPTH": TILES.depth}

KERNELS = [
    *((gpu.dense_sweeps, DENSE, {"HEATED": heated, "PARTS": 2, **DENSE_SIZES}) for heated in (False, True)),
    (gpu.sparse_visits, SPARSE, {"HEATED": False, "LANES": TILES.lanes}),
    *(
        (gpu_oscillators.optical_updates, RUNS | NUMBERS, {"CONTROL": control, "NOISE": noise, "LANES": 256})
        for control, noise in ((0, 1), (1, 2), (2, 0))
    ),
    (gpu_oscillators.threshold_updates, RUNS | NUMBERS | {"pull": "*fp32"}, {"LANES": 256}),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile anew, and leave nothing in the home folder."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def machine_code(kernel, types: dict[str, str], constants: dict[str, object]):
    """Return what the compiler makes of a kernel whose pointers are aligned, as torch's are; other arguments are float arrays."""
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else (COMMON | types).get(name, "*fp32") for name in names}
    aligned = [name for name in names if signature[name].startswith("*") or name in ("sites", "field_stride")]
    source = triton.compiler.ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = {"num_warps": TILES.warps if kernel is gpu.dense_sweeps else 4, "enable_fp_fusion": True}
    target = triton.backends.compiler.GPUTarget("cuda", 90, 32)
    return triton.compile(source, target=target, options=options)


@pytest.mark.parametrize(("kernel", "types", "constants"), KERNELS)
def test_kernels_compile_for_hopper_within_its_registers(kernel, types, constants, tmp_path: Path) -> None:
    built = machine_code(kernel, types, constants)
    (tmp_path / "kernel.cubin").write_bytes(built.asm["cubin"])
    disassembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    command = [disassembler, "--dump-resource-usage", tmp_path / "kernel.cubin"]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"STACK:(\d+)", usage) == ["0"]
    assert ("mma.sync" in built.asm["ptx"]) == (kernel is gpu.dense_sweeps)
