import torch
from torch.nn import functional as F


def scaled_probabilities(logits, region, scale_factor):
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = torch.cat([-x, x], 1).sigmoid() if x.shape[1] == 1 else x.softmax(1)
    if scale_factor != 1:
        p = F.interpolate(p, scale_factor=scale_factor, mode="bilinear")
    return p * region.unsqueeze(1)
