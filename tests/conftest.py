"""Several CPU devices, strict ranks, checked shapes; the compilation cache makes repeated runs fast."""

import gc
import os
import shutil
import socket
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Compiling takes most of the time here: without optimisation it takes a quarter of that.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false"
    * version("jaxlib").startswith("0.10."),  # a flag that is unknown ends the process
)
os.environ.setdefault("NPROC", "16")  # collectives of XLA on CPUs with few cores dead-lock otherwise (jax < 0.12)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["GAN_JAX_CONVOLUTIONS"] = "rule"  # what is fastest differs from time to time on a busy machine
os.environ["GAN_JAX_CACHE"] = str(ROOT / ".cache" / "pictures")

from jaxtyping import install_import_hook  # noqa: E402

SOURCES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "gan_jax").rglob("*.py")}
SHAPED = [name for name, path in SOURCES.items() if "from jaxtyping import" in path.read_text()]  # others cost time, for little
install_import_hook(SHAPED, "beartype.beartype").__enter__()

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(100_000, 50, 1000)  # what traces leave is much, and most of it stays: looking through it takes 7 % of the time


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that GAN_JAX_DATA names."""
    folder = os.environ.get("GAN_JAX_DATA")
    if not folder:
        pytest.skip("needs real data: set GAN_JAX_DATA to the folder that holds mnist/")
    return Path(folder)


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def conditional_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional run of four rounds, to look at; who changes it takes `copied`."""
    from tests.four_rounds import SCORED, tiny, train

    outdir = tmp_path_factory.mktemp("runs") / "conditional"
    train(tiny(outdir, **SCORED))
    return outdir


@pytest.fixture
def copied(conditional_run: Path, tmp_path: Path) -> Path:
    """The same run in a directory of its own."""
    return shutil.copytree(conditional_run, tmp_path / "copied")


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 pictures of differing sizes and kinds, without labels."""
    folder = tmp_path_factory.mktemp("pictures") / "stripes"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(30):
        height, width = generator.integers(20, 90, 2)
        picture = Image.fromarray(generator.integers(0, 256, (height, width, 4), dtype=np.uint8))
        picture.convert(("RGB", "L", "RGBA", "P")[i % 4]).save(folder / f"{i}.{('png', 'jpg', 'webp', 'gif')[i % 4]}")
    return folder
