"""The command `attack`: a report on the robustness of one or several trained models."""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import torch

from lightning_gans.callbacks.tracking import DEFAULT_PROJECT
from lightning_gans.callbacks.wandb_settings import read_setting, resolve_mode, valid_mode_variable
from lightning_gans.core.classification import ClassificationModel, DiscriminatorClassifier
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.data_options import load_data
from lightning_gans.datamodules import DataModule
from lightning_gans.errors import UsageError
from lightning_gans.rendering.captions import captioned_grid
from lightning_gans.rendering.curves import line_chart
from lightning_gans.rendering.images import RGBImage, save_image
from lightning_gans.robustness import TOLERANCE, Attacks, Target, accuracies, masking_check, transfer

EXAMPLES = 8
"""Number of examples in a panel."""


def attack(model: Model, options: argparse.Namespace) -> None:
    """Attack models on the examples of a split, print a table, and write the report.

    Args:
        model: Model of the first run.
        options: Options of the command.

    Raises:
        UsageError: If an option is invalid, a model cannot be attacked, or the models do not have the same classes.
    """
    _check(options)
    data = load_data(options.run, places=options.data, trust=options.trust)
    if not data.sizes[options.split]:
        raise UsageError(f"`--split` {options.split} has no examples")
    models = [model, *(load(run, trust=options.trust).to(model.device) for run in options.others)]
    targets = {
        name: make_target(model, data, options)
        for name, model in zip(_names([options.run, *options.others]), models, strict=True)
    }
    if len({(target.image.shape, tuple(target.class_names)) for target in targets.values()}) > 1:
        raise UsageError("the runs must have images of the same shape and the same classes")
    attacks = Attacks(math.inf if options.norm == "inf" else 2, options.steps, options.restarts, options.seed)
    report = make_report(targets, sorted({0.0, *options.eps}), attacks)
    report["split"] = options.split
    images = draw(targets, report, attacks)
    write(Path(options.output), report, images)
    print(table(report))
    print(f"report: {options.output}")
    if options.wandb:
        track(Path(options.output), report, images)


def _check(options: argparse.Namespace) -> None:
    if min(options.eps) < 0 or max(options.eps) == 0:
        raise UsageError(f"`--eps` must be radii of at least 0, not only 0, got {options.eps}")
    for name in ("steps", "restarts", "count"):
        if getattr(options, name) < 1:
            raise UsageError(f"`--{name}` must be at least 1, got {getattr(options, name)}")
    if options.seed < 0:
        raise UsageError(f"`--seed` must be at least 0, got {options.seed}")
    if Path(options.output).is_file():
        raise UsageError(f"`--output` must be a folder, but {options.output!r} is a file")


def _names(runs: list[str]) -> list[str]:
    """Return the names of runs: the last parts of their paths, or the paths if these are equal."""
    names = [Path(run).name for run in runs]
    return names if len(set(names)) == len(names) else runs


def make_target(model: Model, data: DataModule, options: argparse.Namespace) -> Target:
    """Choose the images on which a model is attacked: labeled examples, for a discriminator also samples.

    Args:
        model: A classifier, or a GAN with a discriminator.
        data: The data.
        options: Options of the command.

    Raises:
        UsageError: If the model cannot be attacked, or no example has a label.
    """
    batch = data.examples(options.split, options.count)
    image, label = batch["image"], batch["label"]
    if isinstance(model, ClassificationModel):
        labeled = label >= 0
        if not labeled.any():
            raise UsageError(f"no example of the {options.split} split has a label")
        names = data.class_names or tuple(map(str, range(int(label.max()) + 1)))
        return Target(model, image[labeled], label[labeled], names)
    if not isinstance(model, GenerativeModel) or model.conditions:
        raise UsageError(f"`attack` needs a classifier or an unconditional GAN, unlike this {type(model).__name__}")
    fake = model.sample(len(image), seed=options.seed)["image"].cpu()
    is_example = torch.tensor([1, 0]).repeat_interleave(len(image))
    # alternating, so that the first images of a panel are of both classes
    order = torch.arange(2 * len(image)).view(2, -1).T.flatten()
    return Target(
        DiscriminatorClassifier(model), torch.cat([image, fake])[order], is_example[order], ("sample", "example")
    )


def make_report(targets: dict[str, Target], eps: list[float], attacks: Attacks) -> dict[str, Any]:
    """Compute all accuracies of a report, as JSON values.

    Args:
        targets: The classifiers, by the names of their runs.
        eps: Radii in ascending order, from 0.
        attacks: Settings of PGD.
    """
    report: dict[str, Any] = {
        "eps": eps,
        "norm": "inf" if attacks.norm == math.inf else 2,
        "steps": attacks.steps,
        "restarts": attacks.restarts,
        "seed": attacks.seed,
        "images": {name: len(target.label) for name, target in targets.items()},
        "accuracy": {name: accuracies(target, eps, attacks) for name, target in targets.items()},
        "masking": {name: masking_check(target, eps[-1], attacks) for name, target in targets.items()},
    }
    if len(targets) > 1:
        report["transfer"] = transfer(targets, eps[-1], attacks)
        for name, sources in report["transfer"].items():
            # examples made for another model must not be stronger than examples made for this one
            report["masking"][name]["masked"] |= min(sources.values()) < report["accuracy"][name][-1] - TOLERANCE
    return report


def table(report: dict[str, Any]) -> str:
    """Format the accuracies of a report as a Markdown table, with a line on masked gradients for each run."""
    head = ["accuracy", *(f"eps {eps:g}" for eps in report["eps"])]
    rows = [[name, *(f"{value:.3f}" for value in values)] for name, values in report["accuracy"].items()]
    lines = [head, ["---", *["---:"] * len(report["eps"])], *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    for name, check in report["masking"].items():
        scores = ", ".join(
            f"{key.replace('_', ' ')} {check[key]:.3f}" for key in ("fgsm", "pgd", "stronger_pgd") if key in check
        )
        verdict = "gradients may be masked" if check["masked"] else "no sign of masked gradients"
        text += f"\n\n{name} at eps {report['eps'][-1]:g}: {scores}: {verdict}"
        for source, accuracy in report.get("transfer", {}).get(name, {}).items():
            text += f"\n{name} on adversarial examples of {source}: {accuracy:.3f}"
    return text


def draw(targets: dict[str, Target], report: dict[str, Any], attacks: Attacks) -> dict[str, RGBImage]:
    """Draw the curve of the accuracies, and for images a panel of each run.

    Args:
        targets: The classifiers, by the names of their runs.
        report: Result of `make_report`.
        attacks: Settings of PGD.

    Returns:
        The images by name.
    """
    label = f"eps ({'l-infinity' if attacks.norm == math.inf else 'l2'} norm, images in [-1, 1])"
    images = {"curve": line_chart(report["eps"], report["accuracy"], x_label=label, y_label="accuracy")}
    for name, target in targets.items():
        if target.image.dim() == 4:
            images[f"examples-{Path(name).name}"] = draw_examples(target, report["eps"][-1], attacks)
    return images


def draw_examples(target: Target, eps: float, attacks: Attacks) -> RGBImage:
    """Draw images, perturbations (scaled to the full range) and adversarial images in columns, with predictions."""
    first = target.first(EXAMPLES)
    perturbed = attacks.perturb(first, eps).cpu()
    change = (perturbed - first.image) / eps
    names = first.class_names
    captions = []
    for true, before, after in zip(
        first.label.tolist(),
        target.model.predict(first.image).tolist(),
        target.model.predict(perturbed).tolist(),
        strict=True,
    ):
        captions += [f"{names[true]}: {names[before]}", f"eps {eps:g}", names[after]]
    tiles = torch.stack([first.image, change, perturbed], 1).flatten(0, 1)
    return captioned_grid(tiles, captions, columns=6)


def write(folder: Path, report: dict[str, Any], images: dict[str, RGBImage]) -> None:
    """Write the report as JSON and Markdown, and its images as PNG.

    Args:
        folder: The folder, which is created.
        report: Result of `make_report`.
        images: Result of `draw`.

    Raises:
        UsageError: If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "attack.json").write_text(json.dumps(report, indent=2) + "\n")
        (folder / "attack.md").write_text(table(report) + "\n")
    except OSError as error:
        raise UsageError(f"`--output` {str(folder)!r} cannot be written: {error.strerror or error}") from error
    for name, image in images.items():
        save_image(image, folder / f"{name}.png")


def track(folder: Path, report: dict[str, Any], images: dict[str, RGBImage]) -> None:
    """Log a report to W&B: a table of the accuracies, and the images.

    Args:
        folder: Folder of the W&B run, if it is offline.
        report: Result of `make_report`.
        images: Result of `draw`.
    """
    import wandb  # noqa: PLC0415 (the import takes a second)

    mode = resolve_mode()
    with valid_mode_variable(mode):
        run = wandb.init(
            project=read_setting("project") or DEFAULT_PROJECT,
            dir=os.environ.get("WANDB_DIR") or folder,
            job_type="attack",
            config={key: report[key] for key in ("norm", "steps", "restarts", "seed", "split")},
            mode=mode,
        )
    rows = [
        [name, eps, accuracy]
        for name, values in report["accuracy"].items()
        for eps, accuracy in zip(report["eps"], values, strict=True)
    ]
    table: Any = wandb.Table(columns=["run", "eps", "accuracy"], data=rows)
    run.log({"attack/accuracy": table, **{f"attack/{name}": wandb.Image(image) for name, image in images.items()}})
    run.finish()
