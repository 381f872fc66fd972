"""The flags that choose captioned pictures, the same while training and afterwards."""

from dataclasses import dataclass
from pathlib import Path

from gan_jax.config import Count
from gan_jax.data.dataset import Dataset
from gan_jax.data.embeddings import with_embeddings
from gan_jax.data.load import PictureFlags
from gan_jax.data.sentences import Say, with_captions
from gan_jax.evaluation.doodle_text import without_unseen
from gan_jax.evaluation.text_encoder import captioned


@dataclass(frozen=True)
class CaptionFlags(PictureFlags):
    """Which pictures are trained on, and what is said of them."""

    say: Say = "auto"
    """What is said of the pictures: their captions, sentences made of their attributes (a woman with black hair) or of the
    names of their classes (a picture of a rose); auto is the first of these that there is."""
    longest: Count = 201
    """Longest caption in bytes; others are cut."""
    unseen: bool = True
    """Keep some combinations of colours out of training, of drawn birds and flowers."""
    text_embeddings: Path | None = None
    """An .npz with `caption` (strings) and `text` (an embedding for each) of all captions, in place of an encoder."""

    def load(self) -> Dataset:
        """The captioned pictures, with the embeddings of the file if there is one."""
        dataset = self.load_captioned()
        return dataset if self.text_embeddings is None else with_embeddings(dataset, self.text_embeddings)

    def load_captioned(self) -> Dataset:
        """The pictures with captions, without the combinations that are kept out of training."""
        dataset = captioned(with_captions(super().load(), self.say), self.longest)
        return without_unseen(dataset) if self.unseen else dataset
