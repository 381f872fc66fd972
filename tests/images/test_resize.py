"""Each mode of resizing against the implementation that scores are compared with, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.errors import InputError
from gan_jax.images.resize import RESIZES, resize
from tests.oracles import oracle

SIZES = [((32, 32), (299, 299)), ((40, 57), (299, 96)), ((400, 320), (299, 299)), ((96, 96), (17, 300)), ((64, 64), (64, 64))]
sizes = pytest.mark.parametrize(("old", "new"), SIZES, ids=lambda size: "x".join(map(str, size)))


def noise(size, channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, *size, channels), np.uint8)


def close(actual, expected):
    """To 1e-5 of the range: what torch-fidelity declares of its own interpolation against TensorFlow's."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * 255)


@sizes
def test_tensorflow_1(old, new):
    torch = oracle("torch")
    reference = oracle("torch_fidelity.interpolate_compat_tensorflow")
    planes = torch.from_numpy(noise(old)).permute(0, 3, 1, 2).float()
    expected = reference.interpolate_bilinear_2d_like_tensorflow1x(planes, size=new, align_corners=False)
    close(resize(noise(old), new, "tf1"), expected.permute(0, 2, 3, 1).numpy())


@sizes
def test_pytorch(old, new):
    torch = oracle("torch")
    planes = torch.from_numpy(noise(old)).permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(planes, size=new, mode="bilinear", align_corners=False)
    close(resize(noise(old), new, "pytorch"), expected.permute(0, 2, 3, 1).numpy())


@sizes
def test_clean(old, new):
    """As clean-fid does: every channel as floats through Pillow, then cut to 0 to 255."""
    planes = [[Image.fromarray(x[..., c].astype(np.float32)) for c in range(3)] for x in noise(old)]
    resized = [[np.asarray(plane.resize(new[::-1], Image.Resampling.BICUBIC)) for plane in image] for image in planes]
    close(resize(noise(old), new, "clean"), np.clip(np.moveaxis(np.array(resized), 1, -1), 0, 255))


# By hand: a row 0, 100 to four pixels. TF 1 looks at 0, 0.5, 1, 1.5; PyTorch at -0.25, 0.25, 0.75, 1.25, held inside.
@pytest.mark.parametrize(("mode", "row"), [("tf1", [0, 50, 100, 100]), ("pytorch", [0, 25, 75, 100])])
def test_by_hand(mode, row):
    image = np.array([[[[0.0], [100.0]]]], np.float32)  # 1 1 2 1
    np.testing.assert_allclose(resize(image, (1, 4), mode)[0, 0, :, 0], row, atol=1e-4)
    np.testing.assert_allclose(resize(image.transpose(0, 2, 1, 3), (4, 1), mode)[0, :, 0, 0], row, atol=1e-4)


def test_the_cubic_kernel_overshoots_and_is_cut():
    edge = np.zeros((1, 8, 8, 1), np.float32)
    edge[:, :, 4:] = 255
    enlarged = np.asarray(resize(edge, (32, 32), "clean"))
    assert enlarged.min() == 0
    assert enlarged.max() == 255
    dim = np.asarray(resize(edge / 255 * 100 + 50, (32, 32), "clean"))
    assert dim.min() < 49
    assert dim.max() > 151


@pytest.mark.parametrize("mode", RESIZES)
@pytest.mark.parametrize("size", [(5, 40), (16, 16)])
def test_an_even_image_stays_even(mode, size):
    assert np.ptp(resize(np.full((1, 12, 20, 2), 7.0, np.float32), size, mode)) < 1e-4


@pytest.mark.parametrize("mode", RESIZES)
def test_whole_numbers_and_floats_alike_inside_jit_too(mode):
    x = noise((12, 20), channels=1)
    inside = jax.jit(lambda x: resize(x, (30, 7), mode))(x)
    assert inside.shape == (2, 30, 7, 1)
    assert inside.dtype == jnp.float32
    np.testing.assert_allclose(inside, resize(x.astype(np.float32), (30, 7), mode), rtol=1e-6, atol=1e-4)


def test_bad_input():
    with pytest.raises(InputError, match=r"no resize mode 'lanczos': choose one of tf1, pytorch, clean"):
        resize(noise((8, 8)), (4, 4), "lanczos")
    with pytest.raises(InputError, match=r"8x8 cannot be made 0x4"):
        resize(noise((8, 8)), (0, 4), "tf1")
