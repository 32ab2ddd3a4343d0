"""Bandwidths and weights of the plain energies for crops of 192."""

_base_ = "./regularized_losses.py"
regularized_losses = dict(
    densecrf=dict(sigma_xy=50, loss_weight=1e-6),
    normalized=dict(sigma_xy=50),
    dense_energy=dict(sigma_xy=50, loss_weight=1e-6),
    normalized_cut=dict(sigma_xy=50),
    kernel_cut=dict(sigma_xy=50),
    self_label=dict(sigma_xy=25),
)
