"""Data sets of tensorflow-datasets of few examples, written by its own builder and read by its own reader."""

import os
from pathlib import Path

import tensorflow_datasets as tfds


def prepare(name: str, version: str, features: dict, examples: dict[str, list[dict]]) -> None:
    """Files of a set as tfds' own builder of that name would leave them, in TFDS_DATA_DIR, with few examples."""
    set_name, set_version = name, version

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = set_name.split("/")[0]
        VERSION = tfds.core.Version(set_version)
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=set_name.split("/")[1], version=VERSION)] if "/" in set_name else []

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(rows) for split, rows in examples.items()}

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    tfds.disable_progress_bar()
    root = Path(os.environ["TFDS_DATA_DIR"]) / "gan_jax_array_record"
    Builder(data_dir=root, file_format="array_record").download_and_prepare()
