"""Bandwidths and weights of the plain energies for crops of 112."""

_base_ = "./regularized_losses.py"
regularized_losses = dict(
    densecrf=dict(sigma_xy=20, loss_weight=5e-6),
    normalized=dict(sigma_xy=20),
    dense_energy=dict(sigma_xy=20, loss_weight=5e-6),
    normalized_cut=dict(sigma_xy=20),
    kernel_cut=dict(sigma_xy=20),
    self_label=dict(sigma_xy=14),
)
