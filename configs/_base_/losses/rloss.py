"""The weights of rloss (ECCV 2018).

It divides its cross entropy, the mean over the labelled pixels, by the batch size too; its learning
rate and its weight of DenseCRF were chosen for that.
"""

_base_ = "./regularized_losses.py"
batch_size = 12
cross_entropy = dict(loss_weight=1 / batch_size)
auxiliary_cross_entropy = dict(
    type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=0.4 / batch_size
)
regularized_losses = dict(
    densecrf=dict(loss_weight=1.5e-9),
    normalized=dict(loss_weight=1.5 / batch_size),
    dense_energy=dict(loss_weight=1.5e-9),
    normalized_cut=dict(loss_weight=0.1 / batch_size),
    kernel_cut=dict(loss_weight=0.1 / batch_size),
    self_label=dict(loss_weight=1.5 / batch_size),
    neighbour_potts=dict(loss_weight=1 / batch_size),
)
