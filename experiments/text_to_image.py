"""Text to image: GAN-CLS and GAN-INT (Reed et al. 2016, arXiv:1605.05396) on any captioned pictures.

    python -m experiments.text_to_image                                  # drawn birds, whose captions name three colours
    python -m experiments.text_to_image --data doodle_flowers --recipe cls
    python -m experiments.text_to_image --data pictures.zip --image-size 64  # NAME.txt beside each NAME.png, or a table
    python -m experiments.text_to_image --data celeb_a --image-size 64       # sentences made of the attributes
    python -m experiments.text_to_image --text projection --conditioning 2  # as in later work
    python -m experiments.text_to_image --encoder char_cnn_rnn --match structured --disc-norm batch --r1 0 --lr 2e-4 --b1 0.5
        --b2 0.999 --width 128 --captions 4 --latent-dim 100 --project 128 --embedding 1024 --encoder-width 384
        --image-size 64   # as in the paper
    python -m gan_jax sample runs/text_to_image-doodle_birds --n 16
        --caption "a small bird with a pink breast, a pink crown and black wings"

An encoder of captions is trained first, together with one of pictures, in minutes, and kept; it travels with the run, so that
its directory alone draws what is typed. With --text-embeddings embeddings of any other encoder are read from a file. Some
combinations of colours of drawn birds and flowers are kept out of training, to be asked for afterwards
(`gan_jax.evaluation.doodle_text.measure`).
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

from gan_jax import cli
from gan_jax.config import Count, Rate, Share, Weight
from gan_jax.data import Dataset, VariationFlags, shown_captions
from gan_jax.errors import InputError
from gan_jax.evaluation.captioned import CaptionFlags
from gan_jax.evaluation.text_encoder import (
    MatchingName,
    TextEncoder,
    embedded,
    new_text_encoder,
    train_text_encoder,
    with_empty_embeddings,
)
from gan_jax.latents import LATENTS, LatentName
from gan_jax.layers.head import Minibatch
from gan_jax.models import dcgan, text
from gan_jax.models.text_encoders import EncoderName
from gan_jax.objectives import text_gan, text_sampler
from gan_jax.training import ExperimentFlags, Game, run_experiment

RECIPES = {"gan": (False, False), "cls": (True, False), "int": (False, True), "int_cls": (True, True)}


@dataclass(frozen=True)
class Config(VariationFlags, CaptionFlags, ExperimentFlags):
    data: str = "doodle_birds"
    recipe: Literal["gan", "cls", "int", "int_cls"] = "int_cls"
    """What is played beside the plain conditional game: cls shows real pictures with wrong captions to the discriminator,
    int asks the generator for captions half way between two."""
    mismatch: Share = 0.5
    """Share of wrong captions among what the discriminator is to refuse, with cls."""
    hard_negatives: Weight = 0.0
    """With cls, above 0: wrong captions that are nearly right come more often, in proportion to exp(hard_negatives cosine)."""
    interpolation: Weight = 1.0
    """Weight of the captions half way in the generator's cost, with int."""
    agreement: Weight = 0.0
    """Weight of AttnGAN's cost in the generator's: the encoder is to find a sample's caption among the batch's, and reverse."""
    text: Literal["concat", "projection"] = "concat"
    """How the discriminator is told the caption: beside its features at each place, or by an inner product with them."""
    conditioning: Weight = 0.0
    """Weight of conditioning augmentation (StackGAN: 2): the generator draws what it is told around the caption's embedding."""
    captions: Count = 1
    """Captions of a picture whose embeddings are averaged, others in each round (the paper: 4)."""
    encoder: EncoderName = "transformer"
    """Encoder of captions."""
    encoder_width: Count = 96
    """Its width (char_cnn_rnn in the paper: 384)."""
    encoder_steps: Count = 3000
    """Updates that it is trained for."""
    embedding: Count = 128
    """Length of an embedding (the paper: 1024)."""
    match: MatchingName = "contrastive"
    """Loss by which it is trained."""
    width: Count = 24
    """Channels next to the image, doubled at each halving of the size (the paper: 64 and 128)."""
    project: Count = 64
    """Numbers that either player makes of the embedding (the paper: 128)."""
    latent: LatentName = "normal"
    """Distribution of the latent code."""
    latent_dim: Count = 64
    """Length of the latent code (the paper: 100)."""
    gen_norm: Literal["batch", "none"] = "batch"
    """Normalisation in the generator."""
    disc_norm: Literal["batch", "none"] = "none"
    """Normalisation in the discriminator."""
    minibatch: Minibatch = "none"
    """Features of the whole minibatch in the discriminator, against mode collapse."""
    spectral_norm: bool = False
    """Divide the kernels of the discriminator by their largest singular value."""
    upsample: Literal["transpose", "resize"] = "transpose"
    """Fractionally strided convolutions, or nearest-neighbour resizing and convolutions."""
    r1: Weight = 1.0
    """Weight of the penalty E ||grad D||^2 / 2 at real examples."""
    lr: Rate = 1e-3
    """Learning rate of both players."""

    @property
    def bounded(self) -> bool:
        return self.spectral_norm

    def load(self) -> "Told":
        """The pictures, their captions, and these as embeddings; for a dry run those of an encoder that is not trained."""
        dcgan.stages(*self.size)
        if self.agreement and self.text_embeddings is not None:
            raise InputError("--agreement needs an encoder of pictures, which a file of embeddings has not: leave out either")
        if self.conditioning and self.latent != "normal":
            raise InputError("--conditioning draws what it is told from normal codes: leave out --latent")
        dataset = super().load()
        if self.text_embeddings is not None:
            return _told(dataset, None)
        if self.dry_run:
            print(f"encoder     trained first for {self.encoder_steps:,} updates, in minutes, and kept: not in a dry run")
            encoder = new_text_encoder(dataset, self.encoder, dim=self.embedding, width=self.encoder_width)
            return _told(with_empty_embeddings(dataset, self.embedding), encoder)
        encoder = self.train_encoder(dataset)
        note = f"encoder     finds the caption of {encoder.retrieval:.1%} of held-out pictures among {encoder.among}"
        return _told(embedded(dataset, encoder), encoder, note)

    def train_encoder(self, dataset: Dataset, seed: int = 0) -> TextEncoder:
        """The encoder of these captions, or with another seed one that knows nothing of it."""
        return train_text_encoder(
            dataset,
            self.encoder,
            dim=self.embedding,
            width=self.encoder_width,
            match=self.match,
            steps=self.encoder_steps,
            seed=seed,
        )


@dataclass(frozen=True)
class Told(Dataset):
    """Captioned pictures and the encoder of their captions, if there is one."""

    encoder: TextEncoder | None = None


def _told(dataset: Dataset, encoder: TextEncoder | None, *notes: str) -> Told:
    values: dict[str, Any] = {field.name: getattr(dataset, field.name) for field in fields(Dataset)}
    return Told(**{**values, "notes": (*dataset.notes, *notes)}, encoder=encoder)


def build(config: Config, dataset: Dataset) -> Game:
    """The game on this data set."""
    shared: dict[str, Any] = {"width": config.width, "project": config.project, "dtype": config.dtype}
    generator = text.Generator(
        config.size,
        dataset.train["image"].shape[-1],
        norm=config.gen_norm,
        upsample=config.upsample,
        conditioning=config.conditioning,
        **shared,
    )
    discriminator = text.Discriminator(
        text=config.text,
        norm=config.disc_norm,
        spectral_norm=config.spectral_norm,
        minibatch=config.minibatch,
        **shared,
    )
    latent = LATENTS[config.latent](config.latent_dim + (config.project if config.conditioning else 0))
    encoder = dataset.encoder if isinstance(dataset, Told) else None
    cls, interpolates = RECIPES[config.recipe]
    return Game(
        text_gan(
            generator,
            discriminator,
            latent=latent,
            encoder=encoder.text if encoder else None,
            encoder_variables=encoder.params["text"] if encoder else None,
            picture_encoder=encoder.picture if encoder else None,
            picture_variables=encoder.params["picture"] if encoder else None,
            agreement=config.agreement,
            mismatch=config.mismatch if cls else 0.0,
            hard_negatives=config.hard_negatives,
            interpolation=config.interpolation if interpolates else 0.0,
            **config.parts(),
        ),
        config.optimizers(config.steps),
        sampler=partial(text_sampler, generator, latent, encoder.text if encoder else None),
        vary=(shown_captions(config.captions, embedded=True), *config.variations()),
    )


main = partial(run_experiment, build, "text_to_image")

if __name__ == "__main__":
    cli.run_command(main, Config, __doc__ or "")
