"""Cross entropy on the scribbles and the losses beside it, for crops of about 512.

It imports this package and has the images handed to the losses. `--losses NAME ...` of
tools/compare_losses.py and tools/visualize_densecrf.py takes any of them.
"""

custom_imports = dict(imports=["mmseg_rloss"], allow_failed_imports=False)
custom_hooks = [dict(type="ProvideImagesHook")]
cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=1.0)
regularized_losses = {
    name: dict(sigma_rgb=15, sigma_xy=100, scale_factor=0.5, loss_name=f"loss_{name}") | loss
    for name, loss in dict(
        densecrf=dict(type="DenseCRFLoss", loss_weight=1.8e-8),
        normalized=dict(type="DenseCRFLoss", loss_weight=1.5, normalize=True),
        dense_energy=dict(type="DenseEnergyLoss", loss_weight=1.8e-8),
        normalized_cut=dict(type="NormalizedCutLoss", loss_weight=0.1),
        kernel_cut=dict(type="KernelCutLoss", loss_weight=0.1, densecrf_weight=15.0),
        self_label=dict(type="SelfLabelLoss", loss_weight=1.5, sigma_rgb=12, sigma_xy=64),
    ).items()
}
regularized_losses["neighbour_potts"] = dict(  # has no sigma_xy
    type="NeighbourPottsLoss",
    loss_weight=1.0,
    sigma_rgb=10,
    scale_factor=0.5,
    loss_name="loss_neighbour_potts",
)
