"""The help of `fit`: the options that most runs need, without importing torch; `fit --help all` has every option."""

from typing import NamedTuple


class Option(NamedTuple):
    """An option in the help of `fit`.

    Attributes:
        example: The option with an example of its value, as on the command line.
        description: A noun phrase.
        default: The default value; empty if there is none.
    """

    example: str
    description: str
    default: str = ""


OPTIONS: dict[str, tuple[Option, ...]] = {
    "model and data": (
        Option("--config dcgan_mnist", "recipe (see `list`) or YAML file; other options override it"),
        Option("--model WGANGP", "model; `--model.help WGANGP` prints its options", "DCGAN"),
        Option("--data ImageFolder", "data; `--data.help ImageFolder` prints its options", "Digits"),
        Option("--data.root my_images", "folder of the data; other data than Digits and Toy2D need it"),
        Option("--data.image_size 64", "height and width of the images of an ImageFolder, in pixels", "64"),
        Option("--data.batch_size 128", "examples per batch and device", "64"),
    ),
    "length of the run": (
        Option("--run.max_images 500000", "images to train on, over all devices", "200000"),
        Option("--trainer.max_time 00:08:00:00", "time limit, as days:hours:minutes:seconds", "none"),
        Option("--trainer.max_epochs 100", "limit of passes over the data", "none"),
    ),
    "training": (
        Option("--model.generator.width 32", "width of the generator; `--model.generator` selects its class", "64"),
        Option("--model.discriminator.width 32", "width of the discriminator", "64"),
        Option("--model.latent_dim 64", "size of the latent", "100"),
        Option("--model.generator_optimizer.lr 1e-4", "learning rate of the generator", "0.0002"),
        Option("--model.discriminator_optimizer.lr 1e-4", "learning rate of the discriminator", "0.0002"),
        Option("--model.discriminator_steps 5", "discriminator steps per generator step", "1"),
        Option("--model.accumulate_grad_batches 2", "parts of a batch, whose gradients are summed", "1"),
        Option("--model.gradient_clip_val 1.0", "maximum norm of the gradient", "none"),
        Option("--model.ema_half_life 10000", "half-life of the EMA, in images", "rises to 10000"),
        Option("--seed_everything 1", "seed of weights and noise; `--data.seed` orders the data", "0"),
    ),
    "records": (
        Option("--run.name first", "name of the run, and of its folder", "<model>-<data>-<number>"),
        Option("--run.root results", "folder of all runs", "runs"),
        Option("--samples.every 10000", "images between grids of samples", "20000"),
        Option("--evaluation.every 10000", "images between evaluations", "50000"),
        Option("--evaluation.monitor density", "score that selects the best checkpoint", "coverage, or log_prob"),
        Option("--save.minutes 30", "maximum minutes between checkpoints", "10.0"),
        Option("--wandb.mode offline", "mode of W&B: auto, online, offline or disabled", "auto"),
        Option("--wandb.project my-project", "project of W&B", "lightning-gans"),
    ),
    "devices": (
        Option("--trainer.accelerator cpu", "kind of device", "auto"),
        Option("--trainer.devices 2", "number of devices", "auto"),
        Option("--trainer.precision 16-mixed", "number format", "bf16-mixed on a GPU that supports it"),
    ),
    "other": (
        Option("--ckpt_path last", "run or checkpoint to resume; `last` is the latest run", "none"),
        Option("--dry_run", "print shapes, numbers of parameters, memory and time, and do not train"),
        Option("--print_config", "print all options with their values as YAML, and do not train"),
        Option("--help all", "print every option, including those of Lightning's Trainer"),
    ),
}
"""The options of most runs, by section. The defaults of the model are those of DCGAN."""


def fit_help() -> str:
    """Format the help of `fit`."""
    width = max(len(option.example) for options in OPTIONS.values() for option in options)
    sections = (
        f"{title}:\n" + "\n".join(f"  {option.example:<{width}}  {_describe(option)}" for option in options)
        for title, options in OPTIONS.items()
    )
    return "\n\n".join(
        (
            "usage: python -m lightning_gans fit [OPTIONS]",
            "Train a model. Without options: DCGAN on handwritten digits. Each option is shown with an example.",
            *sections,
        )
    )


def _describe(option: Option) -> str:
    return f"{option.description} (default: {option.default})" if option.default else option.description
