"""Strided and fractionally strided convolutions whose derivatives, of any order, stay convolutions.

With `SAME` padding a strided convolution is bilinear in its input and its kernel, so the scalar

    T(x, kernel, y) = <conv(x, kernel), y>

is trilinear, and its three partial gradients, `conv` (in y), `_adjoint` (in x) and `_correlate` (in the kernel), are each
other's derivatives. Their transposes are defined by one another, so gradients of gradients (R1, R2, WGAN-GP) are among three
forms that each have a fast implementation: XLA's own convolutions on accelerators, `gan_jax.layers.lowerings` on CPUs.
Reverse-mode derivatives only: `jax.jvp` through these functions raises.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from gan_jax.errors import InputError
from gan_jax.layers import lowerings
from gan_jax.layers.lowerings.form import padding

# The forms consist of many small operations, and deep networks repeat the same layer in every block and order of derivative:
# equal forms of equal shapes share one trace. Inlined, so that XLA sees the same program as without.
_traced_once = partial(jax.jit, inline=True)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k l c_of_a_group o"], stride: int, groups: int = 1
) -> Float[Array, "b i j o"]:
    """Convolve with `SAME` padding: (b, h, w, c) to (b, h / stride, w / stride, o).

    With `groups` of channels, group i of the outputs sees group i of the inputs alone, and the kernel has c / groups inputs.
    Raises `InputError` unless h and w are multiples of `stride`, and c and o of `groups`.
    """
    if x.shape[1] % stride or x.shape[2] % stride:
        raise InputError(
            f"images of {x.shape[1]}x{x.shape[2]} cannot be convolved with stride {stride}: choose a multiple of it"
        )
    if x.shape[3] != groups * kernel.shape[2] or kernel.shape[3] % groups:
        raise InputError(
            f"{x.shape[3]} channels in {groups} groups cannot be convolved with a kernel of {kernel.shape[2]} inputs and "
            f"{kernel.shape[3]} outputs: channels are multiples of the number of groups, inputs those of one group"
        )
    outputs = (x.shape[1] // stride, x.shape[2] // stride)
    choice = lowerings.choice("conv", x.shape[0], kernel.shape, stride, outputs, groups)
    return _by_platform("conv", choice, x, kernel, stride, None)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _adjoint(y: Array, kernel: Array, stride: int, groups: int = 1) -> Array:
    """The gradient of <conv(x, kernel), y> in x, (b, i, j, o) to (b, i * stride, j * stride, c)."""
    choice = lowerings.choice("adjoint", y.shape[0], kernel.shape, stride, y.shape[1:3], groups)
    return _by_platform("adjoint", choice, y, kernel, stride, None)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _correlate(x: Array, y: Array, stride: int, shape: tuple[int, int], groups: int) -> Array:
    """The gradient of <conv(x, kernel), y> in the kernel of spatial `shape`: (k, l, c / groups, o)."""
    kernel = (*shape, x.shape[-1] // groups, y.shape[-1])
    choice = lowerings.choice("correlate", x.shape[0], kernel, stride, y.shape[1:3], groups)
    return _by_platform("correlate", choice, x, y, stride, shape)


@partial(_traced_once, static_argnums=(0, 1, 4, 5))
def _by_platform(
    derivative: lowerings.Derivative, on_cpu: lowerings.Choice, a: Array, b: Array, stride: int, shape: tuple[int, int] | None
) -> Array:
    """On a CPU in float32 at least: forms that add up transformed arrays lose digits below it, and are no faster there."""

    def compute(form: lowerings.Form, a: Array, b: Array) -> Array:
        result: Array = getattr(form, derivative)(a, b, stride, *(() if shape is None else (shape,)))
        return result

    def in_full(a: Array, b: Array) -> Array:
        dtype = jnp.result_type(a, b)
        wide = jnp.promote_types(dtype, jnp.float32)
        return compute(on_cpu.form, a.astype(wide), b.astype(wide)).astype(dtype)

    plain = (
        lowerings.FORMS["plain"] if on_cpu.groups == 1 else lowerings.grouped(lowerings.FORMS["plain"], on_cpu.groups, most=0)
    )
    result: Array = lax.platform_dependent(a, b, cpu=in_full, default=partial(compute, plain))
    return result


def _conv_fwd(x: Array, kernel: Array, stride: int, groups: int) -> tuple[Array, tuple[Array, Array]]:
    return conv(x, kernel, stride, groups), (x, kernel)


def _conv_bwd(stride: int, groups: int, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return _adjoint(g, kernel, stride, groups), _correlate(x, g, stride, kernel.shape[:2], groups)


def _adjoint_fwd(y: Array, kernel: Array, stride: int, groups: int) -> tuple[Array, tuple[Array, Array]]:
    return _adjoint(y, kernel, stride, groups), (y, kernel)


def _adjoint_bwd(stride: int, groups: int, residuals: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    y, kernel = residuals
    return conv(g, kernel, stride, groups), _correlate(g, y, stride, kernel.shape[:2], groups)


def _correlate_fwd(x: Array, y: Array, stride: int, shape: tuple[int, int], groups: int) -> tuple[Array, tuple[Array, Array]]:
    return _correlate(x, y, stride, shape, groups), (x, y)


def _correlate_bwd(
    stride: int, shape: tuple[int, int], groups: int, residuals: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
    x, y = residuals
    return _adjoint(y, g, stride, groups), conv(x, g, stride, groups)


conv.defvjp(_conv_fwd, _conv_bwd)
_adjoint.defvjp(_adjoint_fwd, _adjoint_bwd)
_correlate.defvjp(_correlate_fwd, _correlate_bwd)


def conv_transpose(x: Float[Array, "b h w c"], kernel: Float[Array, "k l c o"], stride: int) -> Float[Array, "b i j o"]:
    """Fractionally strided convolution, (b, h, w, c) to (b, h * stride, w * stride, o), also called deconvolution.

    Equals `flax.linen.ConvTranspose` with `SAME` padding (kernel not flipped). It is the adjoint, not the inverse, of `conv`.
    """
    return _adjoint(x, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), stride)


def resize_conv(x: Float[Array, "b h w c"], kernel: Float[Array, "k l c o"], scale: int) -> Float[Array, "b i j o"]:
    """Convolve the image after nearest-neighbour enlargement: (b, h, w, c) to (b, h * scale, w * scale, o).

    Of the taps of a kernel that is larger than `scale`, several fall on copies of the same pixel. Where that saves
    multiplications their sums are the kernel, one for each of the scale * scale places within an enlarged pixel, of a
    convolution on the small image: 9 in place of 25 an output for kernels of 5x5 and twice the size. In half precision the
    sums are rounded as the kernel was.
    """
    rows, columns = (_shared_taps(size, scale) for size in kernel.shape[:2])
    if len(rows) * len(columns) >= kernel.shape[0] * kernel.shape[1]:
        return conv(jnp.repeat(jnp.repeat(x, scale, axis=1), scale, axis=2), kernel, 1)
    sums = jnp.einsum("tpk,uql,klco->tucpqo", rows, columns, kernel, precision="highest")
    small = conv(x, sums.astype(x.dtype).reshape(*sums.shape[:3], -1), 1)
    b, h, w, _ = small.shape
    places = small.reshape(b, h, w, scale, scale, -1).transpose(0, 1, 3, 2, 4, 5)
    return places.reshape(b, h * scale, w * scale, -1)


def _shared_taps(size: int, scale: int) -> np.ndarray:
    """1 where tap k of an output at place p of an enlarged pixel falls on tap t of the small image: (t, p, k), t centred."""
    place, tap = np.mgrid[:scale, :size]
    pixel = (place + tap - padding(size, 1)[0]) // scale
    reach = int(np.abs(pixel).max())
    return (pixel == np.arange(-reach, reach + 1)[:, None, None]).astype(np.float32)


class _Convolution(nn.Module):
    """Kernel, bias and dtypes shared by `Conv` and `ConvTranspose`; parameters are named and shaped as flax's."""

    features: int
    kernel_size: int = 5
    stride: int = 2
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
    bias_init: Callable[..., Array] = nn.initializers.zeros

    def parameters(self, channels: int) -> tuple[Array, Array | None]:
        """Kernel (k, k, channels, features) and bias (features,), None without one, in the type of the computation."""
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel = self.param("kernel", self.kernel_init, shape).astype(self.dtype)
        bias = self.param("bias", self.bias_init, (self.features,)).astype(self.dtype) if self.use_bias else None
        return kernel, bias


class Conv(_Convolution):
    """Strided convolution in place of pooling (Springenberg et al. 2014, arXiv:1412.6806): (b, h, w, c) to (b, h/s, w/s, o).

    `groups` of the channels are convolved separately, with kernels (k, k, c / groups, o).
    """

    groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        kernel, bias = self.parameters(x.shape[-1] // self.groups)
        y = conv(x.astype(self.dtype), kernel, self.stride, self.groups)
        return y if bias is None else y + bias[None, None, None]


class ConvTranspose(_Convolution):
    """Fractionally strided convolution: (b, h, w, c) to (b, h*s, w*s, o)."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        kernel, bias = self.parameters(x.shape[-1])
        y = conv_transpose(x.astype(self.dtype), kernel, self.stride)
        return y if bias is None else y + bias[None, None, None]


class ResizeConv(_Convolution):
    """Nearest-neighbour enlargement, then a convolution of stride 1 (Odena et al. 2016, doi:10.23915/distill.00003)."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j o"]:
        kernel, bias = self.parameters(x.shape[-1])
        y = resize_conv(x.astype(self.dtype), kernel, self.stride)
        return y if bias is None else y + bias[None, None, None]


def one_hot_planes(y: Int[Array, " b"], classes: int, height: int, width: int) -> Float[Array, "b h w classes"]:
    """Labels as `classes` constant feature maps, 0 or 1, for concatenation with images (Mirza & Osindero 2014)."""
    planes = jax.nn.one_hot(y, classes)
    return jnp.broadcast_to(planes[:, None, None, :], (y.shape[0], height, width, classes))
