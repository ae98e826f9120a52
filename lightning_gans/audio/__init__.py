"""Sound: log-mel spectrograms of waveforms and their inverse, as functions of tensors, and audio files."""

from lightning_gans.audio.files import resample, write_wav
from lightning_gans.audio.griffin_lim import griffin_lim, invert_mel
from lightning_gans.audio.mel import hz_to_mel, mel_band_edges, mel_filter_bank, mel_to_hz
from lightning_gans.audio.spectrogram import db_to_power, log_mel, mel_spectrogram, power_to_db, stft
from lightning_gans.audio.transform import LogMel

__all__ = [
    "LogMel",
    "db_to_power",
    "griffin_lim",
    "hz_to_mel",
    "invert_mel",
    "log_mel",
    "mel_band_edges",
    "mel_filter_bank",
    "mel_spectrogram",
    "mel_to_hz",
    "power_to_db",
    "resample",
    "stft",
    "write_wav",
]
